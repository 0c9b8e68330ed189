"""`harness resume TAG [key=value ...]`: goes on with an interrupted session or sweep, or with one that reached a limit.

TAG is its tag, or its folder. What it was started with stands in its ledger. Only its limits may be changed:
budget.proposals, .trials, .hours, .dollars, .tokens, and what shows it (tracking=...).

Examples:

    harness resume nanochat-claude-1a2b3c4d
    harness resume sessions/my-sweep/agent-claude/nanochat-claude-1a2b3c4d budget.hours=12
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.ledger import chain, lookup
from harness.ledger.rows import SessionStartedRow, row_of
from harness.ledger.session_record import load
from harness.ledger.sweep_record import read


def main(arguments: list[str]) -> int:
    """As the session's own command. Raises HarnessError."""
    if not arguments or "=" in arguments[0]:
        raise UserError("usage: harness resume TAG [key=value ...]; harness list shows the tags")
    if started := _sweep_arguments(lookup.place(arguments[0])):
        from harness.sweep.runner import main as sweep

        return sweep([*started, *arguments[1:]])
    folder = lookup.session(arguments[0])
    words = again(folder, arguments[1:])
    from harness.config.setup import load
    from harness.session.reopen import as_begun
    from harness.session.start import start

    try:
        setup = load(words)
    except UserError as error:
        raise UserError(f"{error} (call it in the folder where the session was started)") from error
    return start(as_begun(setup, folder))


def _sweep_arguments(folder: Path) -> list[str]:
    """What a sweep was started with; [] for a folder that is none's."""
    for row in read(folder):
        if row.get("kind") == "sweep_started":
            own = ("session.folder=", "session.tag=")
            kept = [str(each) for each in row.get("arguments", []) if not str(each).startswith(own)]
            return [*kept, f'session.folder="{folder.parent}"', f'session.tag="{folder.name}"']
    return []


def again(folder: Path, changes: Sequence[str] = ()) -> list[str]:
    """The arguments that start the folder's session, with changes. Raises UserError."""
    first = next((row_of(values) for values in chain.each(folder)), None)
    started = first if isinstance(first, SessionStartedRow) else load(folder).started  # or says what is wrong
    for change in changes:
        if "=" not in change:
            raise UserError(f"{change!r} is not key=value; only limits can be changed, e.g. budget.hours=12")
    changed = {change.partition("=")[0] for change in changes} | {"session.folder", "session.tag"}
    kept = [each for each in started.arguments if each.partition("=")[0] not in changed]
    return [*kept, *changes, f'session.folder="{folder.parent}"', f'session.tag="{folder.name}"']


if __name__ == "__main__":
    sys.exit(run(main, "harness.resume", about=__doc__))
