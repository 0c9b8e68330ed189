"""`harness report TAG`: a session, or every session of a sweep, as one HTML file each.

TAG is a session's tag, or the folder of a session or of a sweep.

Examples:

    harness report nanochat-claude-1a2b3c4d
    harness report sessions/my-sweep --tables
    harness report nanochat-claude-1a2b3c4d --png --control sessions/nanochat-random-1a2b3c4d
    harness report nanochat-claude-1a2b3c4d --markdown --out night.md
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.commands import parser, run
from harness.errors import UserError
from harness.ledger.lookup import place
from harness.ledger.reading import one_session, session_folders
from harness.ledger.session_record import SessionRecord, all_begun, load
from harness.ledger.sweep_record import FILE_NAME as SWEEP
from harness.report.charts.progress import HOURS, PROPOSALS
from harness.report.html.page import html_report
from harness.report.html.transcripts import transcript_pages
from harness.report.local import write_atomically
from harness.report.markdown import markdown_report


def main(argv: list[str]) -> int:
    """Writes what is asked for and names every file. Raises UserError, LedgerError."""
    options = _options(argv)
    folders = session_folders(options.folder)
    if not folders or not options.folder.is_dir():
        raise UserError(f"{options.folder} holds no session: there is no ledger.jsonl in or below it")
    if len(folders) > 1 and not (options.folder / SWEEP).exists():
        listed = ", ".join(str(each) for each in folders[:4])
        raise UserError(
            f"{options.folder} is neither a session's nor a sweep's folder; nothing was written. "
            f"It holds {len(folders)} sessions, give one of them: {listed}"
        )
    if options.out is not None and len(folders) > 1:
        raise UserError(
            f"{options.folder} holds {len(folders)} sessions: --out takes one, give one of their folders"
        )
    controls = [load(one_session(control)) for control in options.control]
    for folder, session in all_begun(folders, _left_out):
        if options.png:
            _picture(session, folder, controls, options)
            continue
        file = options.out or folder / ("report.md" if options.markdown else "report.html")
        whole = partial(html_report, session, folder, *controls, axis=options.axis)
        _write(file, markdown_report(session) if options.markdown else whole())
        if not options.markdown:
            for page, words in transcript_pages(session, folder):
                _write(page, words, quiet=True)
        if options.tables:
            _tables(session, folder)
    if options.wandb:
        from harness.report.wandb.report import save_report

        print(save_report(folders, options.project, options.entity))
    return 0


def _left_out(folder: Path) -> None:
    print(f"{folder} has not begun and is left out", file=sys.stderr)


def _options(argv: list[str]) -> argparse.Namespace:
    asked = parser("report", __doc__)
    asked.add_argument(
        "folder", type=place, metavar="TAG", help="a session's tag, or the folder of one or of a sweep"
    )
    asked.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: DIR/report.html)")
    asked.add_argument("--markdown", action="store_true", help="Markdown instead of HTML")
    asked.add_argument(
        "--control",
        type=place,
        metavar="TAG",
        action="append",
        default=[],
        help="a control session to draw beside this one; can be repeated",
    )
    asked.add_argument(
        "--axis",
        choices=(PROPOSALS, HOURS),
        default=PROPOSALS,
        help="of the progress chart (default: proposals)",
    )
    asked.add_argument(
        "--png",
        action="store_true",
        help="only the progress chart as a picture: progress.png and .svg, bright and dark",
    )
    asked.add_argument(
        "--tables", action="store_true", help="also write trials.csv and proposals.csv (and Parquet)"
    )
    asked.add_argument("--wandb", action="store_true", help="also save a W&B Report about the sessions")
    asked.add_argument("--project", default="harness", help="W&B project (default: harness)")
    asked.add_argument("--entity", help="W&B entity (default: your own)")
    return asked.parse_args(argv)


def _picture(
    session: SessionRecord, folder: Path, controls: Sequence[SessionRecord], options: argparse.Namespace
) -> None:
    """Bright and dark, as PNG and SVG; --out names the bright PNG, the others lie beside it."""
    from harness.report.charts.picture import picture, picture_svg
    from harness.report.charts.raster import png

    drawing = picture(session, controls, options.axis)
    first = options.out or folder / "progress.png"
    for theme, name in (("light", first.stem), ("dark", f"{first.stem}-dark")):
        _write(first.with_name(f"{name}.svg"), picture_svg(drawing, theme))
        _write_bytes(first.with_name(f"{name}.png"), png(drawing, theme))


def _write_bytes(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(file)


def _write(file: Path, text: str, quiet: bool = False) -> None:
    try:
        write_atomically(file, text)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror} (--out FILE writes elsewhere)") from None
    if not quiet:
        print(file)


def _tables(session: SessionRecord, folder: Path) -> None:
    from harness.report.tables import write_tables

    for file in write_tables(session, folder):
        print(file)


if __name__ == "__main__":
    sys.exit(run(main, "harness.report"))
