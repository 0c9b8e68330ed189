"""What an agent does, on the record while it happens: a transcript, a line for those who watch, and the bill.

The transcript of a proposal is a file beside the ledger, bounded, without keys; its hash goes on the proposal's row.
"""

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.agents.bill import Bill
from harness.agents.data_text import one_line
from harness.agents.keys import redacted
from harness.agents.spending import Meter, total_tokens
from harness.agents.usage import UsageReader
from harness.records import Json, Usage
from harness.report.agent_files import LIVE, MOST_TRANSCRIPT_BYTES, TRANSCRIPTS
from harness.report.redact import redacted as without_secrets

_MOST_TEXT = 40_000  # characters of one entry
_LIVE_SECONDS = 0.5
_SPOKEN = ("thinking", "text", "call", "result", "smoke_test")


@dataclass
class Recorder:
    """One proposal's. folder: the session's; None: nothing is recorded."""

    folder: Path | None
    number: int
    meter: Meter
    bill: Bill
    _file: IO[bytes] | None = None
    _digest: Any = field(default_factory=hashlib.sha256)
    _bytes: int = 0
    _left_out: int = 0
    _doing: str = "reads the task"
    _lines: list[str] = field(default_factory=list)
    _last_live: float = 0.0
    _path: str = ""

    def __post_init__(self) -> None:
        if self.folder is None:
            return
        (self.folder / TRANSCRIPTS).mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):  # a proposal may be thought out again after an interruption
            self._path = f"{TRANSCRIPTS}/{self.number:04d}-{attempt}.jsonl"
            with contextlib.suppress(FileExistsError):
                self._file = open(self.folder / self._path, "xb")  # noqa: SIM115  # closed by close()
                return

    def note(self, kind: str, text: str = "", **facts: Json) -> None:
        """One entry. Kinds: prompt, thinking, text, call, result, fault, smoke_test, end."""
        clean = str(without_secrets(redacted(text)))
        entry = {"time": round(time.time(), 3), "kind": kind, "text": clean[:_MOST_TEXT], **facts}
        if len(clean) > _MOST_TEXT:
            entry["left_out"] = len(clean) - _MOST_TEXT
        self._append(json.dumps(entry, ensure_ascii=True, default=str).encode() + b"\n")
        if kind in _SPOKEN and clean.strip():
            name = one_line(str(facts.get("name", "")), 60)
            self._lines = [*self._lines[-5:], f"{f'{kind} {name}'.rstrip()}: {one_line(clean, 200)}"]
        self.doing(f"{kind} {facts.get('name', '')}".strip())

    def doing(self, words: str) -> None:
        self._doing = words
        self._show()

    def heard(self, reader: UsageReader) -> None:
        """The provider speaks: shown at most twice a second, and what it costs so far is on the bill."""
        now = time.monotonic()
        if now - self._last_live >= _LIVE_SECONDS:
            self.bill.under_way(self.meter.priced(reader.spent(0), reader.hour_writes))
            tail = str(without_secrets(redacted(reader.tail)))
            self._doing = f"hears: {one_line(tail, 200)}" if tail.strip() else "the model thinks"
            self._show()

    def booked(self, usage: Usage) -> None:
        """A request has ended and is in the meter."""
        self.bill.booked(usage)
        self._show()

    def close(self) -> dict[str, Json]:
        """For the row: where the transcript lies, and its hash."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.folder / LIVE)
        if self._file is None:
            return {}
        if self._left_out:
            self._write(json.dumps({"kind": "clipped", "entries": self._left_out}).encode() + b"\n")
        self._file.close()
        return {"file": self._path, "sha256": self._digest.hexdigest(), "bytes": self._bytes}

    def _append(self, line: bytes) -> None:
        if self._bytes + len(line) > MOST_TRANSCRIPT_BYTES - 200:
            self._left_out += 1
        else:
            self._write(line)

    def _write(self, line: bytes) -> None:
        """A disk that is full costs the transcript, never the session; the hash is of what should stand there."""
        self._digest.update(line)
        self._bytes += len(line)
        if self._file is not None and not self._file.closed:
            with contextlib.suppress(OSError):
                self._file.write(line)
                self._file.flush()

    def _show(self) -> None:
        if self.folder is None:
            return
        self._last_live = time.monotonic()
        usage = self.meter.usage
        said = {
            "time": time.time(),
            "proposal": self.number,
            "doing": self._doing,
            "requests": usage.requests,
            "tokens": total_tokens(usage),
            "dollars": round(usage.dollars, 4),
            "list_price": self.meter.list_price,
            "lines": self._lines,
        }
        path = self.folder / LIVE
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".new").write_text(json.dumps(said), encoding="utf-8")
            os.replace(path.with_suffix(".new"), path)
