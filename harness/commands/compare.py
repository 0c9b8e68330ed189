"""`harness compare DIR`: which arm of a sweep is better, by how much, at what cost, and how sure that is.

DIR is the folder of a sweep, or one that holds several sessions.

Examples:

    harness compare sessions/my-sweep
    harness compare sessions --html compare.html
"""

import sys
from pathlib import Path

from harness.commands import parser, run
from harness.compare.comparison import compare
from harness.compare.text import as_json, text
from harness.errors import UserError
from harness.ledger.lookup import place
from harness.task.waiting import told


def main(argv: list[str]) -> int:
    """Prints the comparison; writes files when asked to. Raises UserError, LedgerError."""
    asked = parser("compare", __doc__)
    asked.add_argument("folder", type=place, metavar="DIR", help="folder of a sweep, or of several sessions")
    asked.add_argument("--html", type=Path, metavar="FILE", help="also as a page")
    asked.add_argument("--json", type=Path, metavar="FILE", help="also as data")
    asked.add_argument(
        "--target", type=float, help="claimed gain to reach (default: half of the best arm's gain)"
    )
    options = asked.parse_args(argv)
    if not options.folder.is_dir():
        raise UserError(f"{options.folder} is not a folder; give the folder of a sweep")
    with told(f"comparing the sessions in {options.folder}", every_seconds=5.0, at_once=False):
        found = compare(options.folder, options.target)
    print(text(found))
    if options.html is not None:
        from harness.compare.page import html_comparison

        _write(options.html, html_comparison(found))
    if options.json is not None:
        _write(options.json, as_json(found))
    return 0


def _write(file: Path, content: str) -> None:
    from harness.report.local import write_atomically

    try:
        write_atomically(file, content)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(file)


if __name__ == "__main__":
    sys.exit(run(main, "harness.compare"))
