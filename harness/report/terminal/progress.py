"""What is measured on demand, a line an event on stderr: for commands whose answer comes minutes later."""

import sys
from pathlib import Path

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord
from harness.report.terminal.lines import stamped


class Progress:
    """A tracker that tells of trials and nothing of the past."""

    def __init__(self) -> None:
        self._session = SessionRecord()

    def open(self, folder: Path, session: SessionRecord) -> None:
        self._session = session
        print(f"session folder: {folder}", file=sys.stderr, flush=True)

    def record(self, row: Row) -> None:
        line = stamped(self._session, row)
        if line:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to end."""
