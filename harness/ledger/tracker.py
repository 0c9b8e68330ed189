"""The seam for whatever shows a session while it goes on."""

from pathlib import Path
from typing import Protocol

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord


class Tracker(Protocol):
    """Sees every ledger row after it is safe on disk. Must not fail the session and must not block it."""

    def open(self, folder: Path, session: SessionRecord) -> None:
        """Called once, with the session's folder and where it stands; the record goes on growing with each row."""

    def record(self, row: Row) -> None:
        """A new row, which the session's record has already taken in."""

    def close(self) -> None: ...
