"""Trackers that need nothing beside the session's folder."""

import glob
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.ledger.rows import DecidedRow, ProposalAskedRow, Row, SessionEndedRow, SettledRow
from harness.ledger.session_record import SessionRecord
from harness.report.results_tsv import head, proposal_line, results_tsv


def write_atomically(file: Path, text: str) -> None:
    """Replaces the file in one move: a reader sees the old or the new text, never half of one."""
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        Path(beside).chmod(0o644)
        os.replace(beside, file)
    except BaseException:  # Ctrl-C, too
        Path(beside).unlink(missing_ok=True)
        raise


def remove_halves(file: Path) -> None:
    """What a writer that was killed left beside it. Only where nobody else writes the same file."""
    for half in file.parent.glob(f".{glob.escape(file.name)}-*"):
        half.unlink(missing_ok=True)


class NoTracker:
    """Shows nothing: the ledger is all there is."""

    def open(self, folder: Path, session: SessionRecord) -> None:
        """Nothing to prepare."""

    def record(self, row: Row) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to end."""


class LocalTracker:
    """Keeps results.tsv in the session's folder up to date, a line for each decision."""

    def __init__(self) -> None:
        self._session = SessionRecord()
        self._file: Path | None = None
        self._head, self._lines = "", 0

    def open(self, folder: Path, session: SessionRecord) -> None:
        self._session = session
        self._file = folder / "results.tsv"
        with suppress(OSError):
            remove_halves(self._file)
        self._write()

    def record(self, row: Row) -> None:
        if isinstance(row, DecidedRow | SettledRow | SessionEndedRow | ProposalAskedRow):
            self._write()

    def close(self) -> None:
        self._write()

    def _write(self) -> None:
        """Anew when the baseline's line has changed, or it could not be written before, else only what has been
        decided since.

        A full disk costs this file, not the session: the ledger has everything.
        """
        if self._file is None:
            return
        top, decided = head(self._session), self._session.decided
        try:
            if top != self._head:
                write_atomically(self._file, results_tsv(self._session))
            elif len(decided) > self._lines:
                with self._file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                    stream.write("".join(proposal_line(proposal) for proposal in decided[self._lines :]))
        except OSError:
            top = ""
        self._head, self._lines = top, len(decided)
