"""`harness watch TAG`: the live view of a session that goes on elsewhere; reads its ledger, touches nothing.

TAG is the session's tag, or its folder. It may be the folder of a sweep: the session that wrote last is shown. Into a
pipe or a file it prints the last lines, what goes on now, and every further line as it comes. Looking on costs about a
hundredth of a core; starting any command takes one for half a second or more, which trials of a few seconds notice.

Examples:

    harness watch nanochat-claude-1a2b3c4d
    harness watch sessions/my-sweep
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.ledger.lookup import place
from harness.ledger.reading import LEDGER, Tail, session_folders
from harness.ledger.rows import AgentSpentRow, NoticeRow, Row, SessionEndedRow
from harness.ledger.session_record import SessionRecord
from harness.report.terminal.lines import stamped
from harness.report.terminal.tracker import Terminal

_LOOK_SECONDS = 1.0
_LOOKED_BACK, _SHOWN_LINES = 60, 8  # rows, and lines of them, of what was before


def main(argv: list[str]) -> int:
    """Ends with the session, or with Ctrl-C. Raises UserError when there is no session."""
    if len(argv) != 1 or argv[0].startswith("-"):
        raise UserError("usage: harness watch TAG")
    folder = latest(place(argv[0]))
    follow(folder, Terminal(refreshes_per_second=1))
    return 0


def latest(folder: Path) -> Path:
    """The session in or below the folder whose ledger was written last. Raises UserError without one."""
    found = session_folders(folder)
    if not found:
        raise UserError(f"{folder} holds no session: there is no {LEDGER} in or below it")
    return max(found, key=lambda each: (each / LEDGER).stat().st_mtime)


def follow(folder: Path, terminal: Terminal, look_seconds: float = _LOOK_SECONDS) -> None:
    """Shows rows as they come, until the session has ended. Costs one `stat` a look while nothing happens."""
    tail = Tail(folder / LEDGER)
    rows = tail.rows()
    session = SessionRecord(rows[:-_LOOKED_BACK])
    terminal.look_on(folder, session, past(session, rows[-_LOOKED_BACK:]))
    try:
        while not _ended(rows):
            time.sleep(look_seconds)
            new = tail.rows()
            for row in new:
                session.add(row)
                terminal.record(row)
            rows = [*rows[-8:], *new]
    except KeyboardInterrupt:
        pass
    finally:
        terminal.close()


def past(session: SessionRecord, rows: Sequence[Row]) -> list[str]:
    """The last lines that the session itself has said; it takes the rows in."""
    said = []
    for row in rows:
        session.add(row)
        said.append(stamped(session, row))
    return list(filter(None, said))[-_SHOWN_LINES:]


def _ended(rows: list[Row]) -> bool:
    """The last words of a session may come after its end: a notice, or what its agent spent in vain."""
    last = [row for row in rows if not isinstance(row, NoticeRow | AgentSpentRow)]
    return isinstance(last[-1], SessionEndedRow) if last else False


if __name__ == "__main__":
    sys.exit(run(main, "harness.watch", about=__doc__))
