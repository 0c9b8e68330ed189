"""What a trial that is under way says of itself, in a file beside the ledger for people who look on: claims.

live/TRIAL.json   {"time": seconds since 1970, "curve": [[share of the billed time, claimed loss], ...]}

It is written over and over while the trial runs and removed when that is over; no row and no decision knows it.
"""

import json
import math
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

FOLDER = "live"
Point = tuple[float, float]
"""(share of the billed time, claimed loss)."""
_MOST_BYTES = 1 << 16
_MOST_POINTS = 400
_STALE_SECONDS = 60.0


class LiveTrial:
    """Writes one trial's file. What goes wrong with it is nobody's problem: it is for looking on."""

    def __init__(self, folder: Path, trial_id: str) -> None:
        self._file = _place(folder, trial_id)
        self._points: list[Point] = []

    def add(self, share: float, loss: float) -> None:
        """A point; ever fewer of the old ones are kept once there are many."""
        if not math.isfinite(loss):
            return
        self._points.append((round(min(share, 1.0), 4), float(f"{loss:.6g}")))
        if len(self._points) > _MOST_POINTS:
            self._points = [*self._points[:-1:2], self._points[-1]]
        content = json.dumps({"time": round(time.time(), 1), "curve": self._points})
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            beside = self._file.with_suffix(".part")
            beside.write_text(content, encoding="utf-8")
            os.replace(beside, self._file)

    def close(self) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._file.parent.rmdir()  # unless another trial's is there


def live_curve(folder: Path, trial_id: str) -> Sequence[Point]:
    """The points so far; () when nobody says, or said long ago."""
    try:
        with open(_place(folder, trial_id), "rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        points = [(float(share), float(loss)) for share, loss in said["curve"]]
        fresh = abs(time.time() - float(said["time"])) < _STALE_SECONDS
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()
    return points if fresh and all(map(math.isfinite, (n for point in points for n in point))) else ()


def live_mark(folder: Path) -> int:
    """Another number when one of the files was written or removed; a stat."""
    try:
        return (folder / FOLDER).stat().st_mtime_ns
    except OSError:
        return 0


def _place(folder: Path, trial_id: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9_~.-]", "_", trial_id).lstrip(".") or "trial"
    return folder / FOLDER / f"{name}.json"
