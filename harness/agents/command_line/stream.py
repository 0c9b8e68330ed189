"""What a command-line program says while it works: JSON lines in a file of its sandbox, read as they grow."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.agents.command_line.harvest import open_one

_MOST_STREAM_BYTES = 32 << 20
_NAME = "stream.jsonl"

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One thing that an event says, for the transcript. kind: thinking, text, call, result."""

    kind: str
    text: str
    name: str = ""


@dataclass
class Stream:
    """heard: called with each new event. events: kept, up to a bound; lines that are no JSON are passed over."""

    heard: Callable[[Event], None] = lambda _: None
    events: list[Event] = field(default_factory=list)
    _offset: int = 0
    _rest: bytes = b""

    def look(self, folder: int, last: bool = False) -> bool:
        """Take in what is new in the open folder out/; whether there was anything. last: nothing more will come."""
        piece = self._new_bytes(folder)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if last:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._take(line)
        return bool(piece)

    def _new_bytes(self, folder: int) -> bytes:
        file = open_one(folder, _NAME)
        if file is None:
            return b""
        parts: list[bytes] = []
        try:
            while self._offset < _MOST_STREAM_BYTES and (part := os.pread(file, 1 << 20, self._offset)):
                parts.append(part)
                self._offset += len(part)
        except OSError:
            pass
        finally:
            os.close(file)
        return b"".join(parts)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self.events.append(event)
            self.heard(event)


def texts(value: Any, *names: str) -> str:
    """The first of these fields that holds text; "" if none does."""
    found = (value.get(name) for name in names) if isinstance(value, Mapping) else ()
    return next((text for text in found if isinstance(text, str) and text), "")
