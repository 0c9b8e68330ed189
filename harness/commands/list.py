"""`harness list [FOLDER]`: the sessions below a folder, what they found and what they cost.

FOLDER is `sessions` in the current folder unless given. The newest come last.

Examples:

    harness list
    harness list sessions/my-sweep
"""

import sys
from pathlib import Path

from harness.commands import run
from harness.errors import HarnessError, UserError
from harness.ledger.lookup import USUAL, is_open
from harness.ledger.reading import LEDGER, Tail, session_folders
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.report.escape import one_line
from harness.report.words import cost_text, gain_text

_HEADINGS = ("session", "state", "task", "agent", "kept", "gain", "cost")


def main(arguments: list[str]) -> int:
    """0, also where there is none. Raises UserError for what is no folder."""
    if len(arguments) > 1 or any(each.startswith("-") for each in arguments):
        raise UserError("usage: harness list [FOLDER]")
    folder = Path(arguments[0]) if arguments else USUAL
    if arguments and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give one that holds sessions")
    found = session_folders(folder) if folder.is_dir() else []
    if not found:
        print(f"no session lies in {folder}/; start one with: harness preset=smoke")
        return 0
    found.sort(key=lambda each: (each / LEDGER).stat().st_mtime)
    rows = [_HEADINGS, *(row(each, folder) for each in found)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(_HEADINGS))]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def row(folder: Path, below: Path) -> tuple[str, ...]:
    """A session in the columns of the table; one that cannot be read says so in its state."""
    name = str(folder.relative_to(below)) if folder != below else folder.name
    try:
        session = SessionRecord(Tail(folder / LEDGER).rows())
    except (HarnessError, ValueError) as error:
        return (name, f"cannot be read: {one_line(str(error), 60)}", *[""] * (len(_HEADINGS) - 2))
    if not session.length:
        state = "not started" if not (folder / LEDGER).stat().st_size else "cannot be read: no whole row"
        return (name, state, *[""] * (len(_HEADINGS) - 2))
    state = _state(folder, session)
    return (
        name,
        state,
        one_line(session.started.task, 30),
        "-" if _measures_noise(session) else one_line(session.started.agent, 30),
        "-" if _measures_noise(session) else f"{len(session.keeps)} of {len(session.decided)}",
        gain_text(session),
        cost_text(session),
    )


def _state(folder: Path, session: SessionRecord) -> str:
    if is_open(folder):
        return "under way"
    if _measures_noise(session):
        return "noise"
    return "ended" if session.ended is not None else "interrupted"


def _measures_noise(session: SessionRecord) -> bool:
    """Of `harness noise` and `adopt`: they measure, ask no agent and end no session."""
    return bool(session.trials_by_role[Role.NOISE]) and not session.proposals


if __name__ == "__main__":
    sys.exit(run(main, "harness.list", about=__doc__))
