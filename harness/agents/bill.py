"""What requests cost, on the disk before anything else can fail: a session that is killed knows its bill.

One line a request, a newer one replacing an older. What stands here and in no proposal's row was spent by a session
that died; the next proposal of the resumed one pays for it.
"""

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from uuid import uuid4

from harness.agents.data_text import finite_number
from harness.records import Usage, added

_NAME = "spending.jsonl"


@dataclass
class Bill:
    """folder: the agent's scratch folder; None: nothing is written."""

    folder: Path | None = None
    total: Usage = field(default_factory=Usage)
    _open: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.total = _summed(self.folder / _NAME)

    def unbooked(self, spent: Usage) -> Usage:
        """What this folder's earlier sessions spent beyond what stands in the ledger."""
        left = {
            f.name: max(0, getattr(self.total, f.name) - getattr(spent, f.name))
            for f in fields(Usage)
            if f.name != "seconds"
        }
        tokens = sum(count for name, count in left.items() if name.endswith("_tokens"))
        return Usage(**left) if tokens else Usage()  # dollars alone are rounding

    def under_way(self, usage: Usage) -> None:
        """What the request that is being answered has cost so far."""
        with self._lock:
            self._open = self._open or uuid4().hex
            self._append(self._open, usage)

    def booked(self, usage: Usage) -> None:
        """A request has ended."""
        with self._lock:
            self._append(self._open or uuid4().hex, usage, last=True)
            self._open = ""
            self.total = added(self.total, usage)

    def _append(self, request: str, usage: Usage, last: bool = False) -> None:
        if self.folder is None:
            return
        line = json.dumps({"request": request, "usage": asdict(usage)}) + "\n"
        with contextlib.suppress(OSError), open(self.folder / _NAME, "ab") as file:
            file.write(line.encode())
            if last:
                file.flush()
                os.fsync(file.fileno())


def _summed(path: Path) -> Usage:
    """The last word on each request; torn lines are passed over."""
    known: dict[str, Usage] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return Usage()
    for line in lines:
        try:
            said = json.loads(line)
            known[str(said["request"])] = _usage(said["usage"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    total = Usage()
    for usage in known.values():
        total = added(total, usage)
    return total


def _usage(said: dict[str, object]) -> Usage:
    counts = {f.name: int(finite_number(said.get(f.name)) or 0) for f in fields(Usage)}
    return replace(Usage(**counts), dollars=finite_number(said.get("dollars")) or 0.0)
