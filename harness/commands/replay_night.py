"""`harness replay-night FILE [--sd SD ...] [--metric COLUMN] [--html FILE]`: which keeps of a night stand out?

FILE is a results.tsv as autoresearch and its forks write it: a line of column names, then a line a trial. Columns are
found by name (a score, best named val_<metric>, and a status); tabs, commas, semicolons, bars or blanks part them. A
keep that was decided on one trial against one trial is told from noise only if it is large against the spread that a
change of seed makes: --sd, of one trial, from `harness noise`. Where a metric's name does not say which way is better,
--maximise or --minimise does.

Examples:

    harness replay-night results.tsv
    harness replay-night results.tsv --sd 3e-4 --html night.html
"""

import argparse
import sys
from pathlib import Path

from harness.commands import parser, run
from harness.compare.night import default_sds, report
from harness.errors import UserError
from harness.ledger.recorded_night import Night, read_night


def main(argv: list[str]) -> int:
    """Raises UserError for a file that cannot be read."""
    options = _options(argv)
    if options.sd and min(options.sd) <= 0:
        raise UserError("--sd must be above 0")
    rising = True if options.maximise else False if options.minimise else None
    night = read_night(options.file, rising, options.metric)
    sds = options.sd or default_sds(night)
    print("\n".join(report(night, sds)))
    if options.html is not None:
        _page(options.html, night, sds)
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    asked = parser("replay-night", __doc__)
    asked.add_argument("file", type=Path, metavar="FILE", help="a results.tsv")
    asked.add_argument(
        "--sd", type=float, nargs="+", help="of one trial's score (default: what is usual for autoresearch)"
    )
    asked.add_argument("--metric", metavar="COLUMN", help="the score's column (default: val_<metric>)")
    direction = asked.add_mutually_exclusive_group()
    direction.add_argument("--maximise", action="store_true", help="higher scores are better")
    direction.add_argument("--minimise", action="store_true", help="lower scores are better")
    asked.add_argument("--html", type=Path, metavar="FILE", help="also the picture, as a page")
    return asked.parse_args(argv)


def _page(file: Path, night: Night, sds: list[float]) -> None:
    from harness.compare.night_chart import night_chart
    from harness.report.escape import as_html
    from harness.report.html.pieces import page, section
    from harness.report.local import write_atomically

    words = as_html("\n".join(report(night, sds)), 100_000)
    body = section("The night", night_chart(night, sds[len(sds) // 2])) + section(
        "In numbers", f"<pre>{words}</pre>"
    )
    try:
        write_atomically(file, page(f"Recorded night: {night.metric}", body))
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(file)


if __name__ == "__main__":
    sys.exit(run(main, "harness.replay_night"))
