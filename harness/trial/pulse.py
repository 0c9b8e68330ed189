"""What the machine gave while a trial ran: a small fixed piece of work of ours, again and again beside it.

A look before and one after a trial miss what happens in between, and seconds of a processor do not tell what they
were worth: with a busy neighbour on the caches half as many steps fit into them. Two things are measured:

- pulse_seconds: what the fixed work took, in the clock by which the trial is billed (median over the trial);
- busy_cores: how many cores were busy on average, with whatever (Linux counts; stolen time counts as busy).
"""

import hashlib
import os
import statistics
import threading
import time
from pathlib import Path

_EVERY_SECONDS = 0.1
_LEAST_BEATS = 5  # fewer say nothing
_HASHED_BYTES = 128 << 10  # stays in a core's own cache
_COPIED_BYTES = 4 << 20  # does not
_STAT = Path("/proc/stat")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal


class Pulse:
    """Start with `with`; `found()` afterwards. Takes about one hundredth of a core."""

    def __init__(self, clock: str, every_seconds: float = _EVERY_SECONDS) -> None:
        """clock: "cpu" or "wall", as the trial is billed."""
        self._now = time.thread_time if clock == "cpu" else time.perf_counter
        self._every_seconds = every_seconds
        self._beats: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._busy_cores: float | None = None

    def __enter__(self) -> "Pulse":
        self._began, self._busy = time.perf_counter(), _busy_seconds()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        took, busy = time.perf_counter() - self._began, _busy_seconds()
        if busy is not None and self._busy is not None and took > 0:
            self._busy_cores = (busy - self._busy) / took

    def found(self) -> dict[str, float]:
        """Nothing for a trial that was over too soon."""
        if len(self._beats) < _LEAST_BEATS:
            return {}
        found = {"pulse_seconds": statistics.median(self._beats)}
        return found if self._busy_cores is None else {**found, "busy_cores": self._busy_cores}

    def _beat(self) -> None:
        small, large = bytes(_HASHED_BYTES), bytearray(_COPIED_BYTES)
        while not self._over.wait(self._every_seconds):
            begin = self._now()
            hashlib.sha256(small).digest()
            bytes(large)
            self._beats.append(self._now() - begin)


def _busy_seconds() -> float | None:
    """Of all cores together since the start of the machine; None where it is not told."""
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
        return sum(int(fields[place]) for place in _BUSY) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
