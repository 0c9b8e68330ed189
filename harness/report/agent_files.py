"""What an agent leaves in a session's folder for people: transcripts and the live line. Reading it; all of it is data.

transcripts/0007-1.jsonl   every message and call of proposal 7; its hash is on the proposal's row
agent/live.json            what the agent does at this moment
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TRANSCRIPTS = "transcripts"
LIVE = Path("agent") / "live.json"
MOST_TRANSCRIPT_BYTES = 4 << 20
_MOST_LIVE_BYTES = 1 << 16
_STALE_SECONDS = 600.0


def live(folder: Path) -> Mapping[str, Any]:
    """What the agent does now; empty when nobody says, or said long ago."""
    try:
        with open(folder / LIVE, "rb") as file:
            said = json.loads(file.read(_MOST_LIVE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    fresh = isinstance(said, dict) and abs(time.time() - _seconds(said.get("time"))) < _STALE_SECONDS
    return said if fresh else {}


def entries(path: Path) -> Iterator[Mapping[str, Any]]:
    """A transcript's lines in order; what is none is passed over."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_TRANSCRIPT_BYTES + 1)
    except OSError:
        return
    for line in content.split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
