"""A session that is looked at: its rows as they come, checked against the chain, folded once for all readers."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import LedgerError
from harness.ledger.chain import FILE_NAME, FIRST_PREVIOUS, verified
from harness.ledger.live_trial import live_mark
from harness.ledger.rows import (
    AgentSpentRow,
    CertificateRow,
    DecidedRow,
    NoticeRow,
    ProposalAskedRow,
    Row,
    SessionEndedRow,
    SessionResumedRow,
    SessionStartedRow,
    SettledRow,
    TransferRow,
    row_of,
)
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.report.agent_files import LIVE, live

_TURNS = (
    DecidedRow,
    SettledRow,
    CertificateRow,
    TransferRow,
    SessionEndedRow,
    SessionResumedRow,
    SessionStartedRow,
)
_QUIET = (NoticeRow, AgentSpentRow, ProposalAskedRow)


class Watched:
    """One session's folder. `lock` is held by whoever looks, or reads the record: several readers are served at once.

    length: rows so far. turned: rows there were when what the charts and counts show last changed. touched: by
    proposal, rows there were when it last changed. said: what changed beside the rows (the agent's words, what trials
    under way say, a damage that was found). begun: how often the ledger was read from its start (a row that
    a full disk took back makes it twice). problem: why no more rows are read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        self.begun = 0
        self._file = folder / FILE_NAME
        self._begin()

    def _begin(self) -> None:
        self.record, self.problem = SessionRecord(), ""
        self.turned = self.said = 0
        self.touched: dict[int, int] = {}
        self.agent: Mapping[str, Any] = {}
        self._agent_mark: tuple[int, int] = (0, 0)
        self.live_mark = 0
        self._offset, self._previous = 0, FIRST_PREVIOUS
        self.begun += 1

    @property
    def length(self) -> int:
        return self.record.length

    def is_behind(self) -> bool:
        """Whether a look would find anything: three stats, no lock, no thread."""
        beside = (self._mark_of_agent(), live_mark(self.folder))
        return self._size() not in (self._offset, None) or beside != (self._agent_mark, self.live_mark)

    def _size(self) -> int | None:
        try:
            return self._file.stat().st_size
        except OSError:
            return None

    def _mark_of_agent(self) -> tuple[int, int]:
        try:
            seen = (self.folder / LIVE).stat()
        except OSError:
            return (0, 0)
        return (seen.st_mtime_ns, seen.st_size)

    def look(self) -> bool:
        """Takes in what was written since the last look; whether anything was. A stat or two while nothing happens."""
        with self.lock:
            return self._rows() | self._agent() | self._trials()

    def _rows(self) -> bool:
        size = self._size()
        if size is None:
            return False
        if size < self._offset:
            self._begin()
        if size == self._offset or self.problem:
            return False
        with self._file.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._take(whole)
        return bool(whole)

    def _take(self, data: bytes) -> None:
        """Rows of a damaged ledger are shown up to the damage, which is said."""
        lines = data.splitlines(keepends=True)
        try:
            for values in verified(lines, first=self.length, previous=self._previous):
                row = row_of(values)
                self.record.add(row)
                self._previous = row.hash
                self._note(row)
        except LedgerError as error:
            self.problem = str(error)
            self.said += 1

    def _note(self, row: Row) -> None:
        number = getattr(row, "proposal", None)
        if isinstance(number, int) and not isinstance(row, _QUIET):
            self.touched[number] = self.length
        if isinstance(row, SettledRow):
            self.touched |= dict.fromkeys(row.keeps, self.length)
        measures_baseline = getattr(row, "role", None) in (Role.BASELINE, Role.NOISE)
        if isinstance(row, _TURNS) or (row.kind == "scored" and measures_baseline):
            self.turned = self.length

    def _agent(self) -> bool:
        """What the agent does at this moment, as it says itself; read when its file has changed."""
        mark = self._mark_of_agent()
        if mark == self._agent_mark:
            return False
        self._agent_mark, self.agent = mark, live(self.folder)
        self.said += 1
        return True

    def _trials(self) -> bool:
        """Whether trials under way said something new of themselves."""
        mark = live_mark(self.folder)
        if mark == self.live_mark:
            return False
        self.live_mark = mark
        self.said += 1
        return True
