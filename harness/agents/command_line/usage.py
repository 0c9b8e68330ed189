"""Reads what a reply cost out of the bytes that pass: Messages API, Responses and chat completions."""

import json
from dataclasses import dataclass, field
from typing import Any

from harness.records import Usage


@dataclass
class UsageReader:
    """Feed it the body of a reply as it comes. Server-sent events or one JSON object; anything else counts nothing.

    usage: None until the provider has said something. whole: whether its final word was seen.
    """

    streamed: bool
    usage: Usage | None = None
    hour_writes: int = 0
    whole: bool = False
    received_bytes: int = 0
    _rest: bytes = b""
    _counts: dict[str, int] = field(default_factory=dict)

    def feed(self, piece: bytes) -> None:
        self.received_bytes += len(piece)
        self._rest += piece
        if self.streamed:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    self._take(line[5:])

    def end(self) -> None:
        if not self.streamed:
            self._take(self._rest)

    def _take(self, text: bytes) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        kind = value.get("type")
        inner = value.get("message") or value.get("response") or value
        counted = inner.get("usage") if isinstance(inner, dict) else None
        if isinstance(counted, dict):
            self._count(counted)
        self.whole = (
            self.whole
            or kind in ("message", "message_stop", "response.completed")
            or (kind is None and isinstance(counted, dict))
        )

    def _count(self, counted: dict[str, Any]) -> None:
        """A later word replaces an earlier one: providers count up within a stream."""
        numbers = {name: value for name, value in counted.items() if isinstance(value, int)}
        self._counts.update(numbers)
        created = counted.get("cache_creation")
        if isinstance(created, dict):
            self.hour_writes = int(created.get("ephemeral_1h_input_tokens") or 0)
        known = self._counts
        if "prompt_tokens" in known:  # chat completions
            cached = _inner(counted, "prompt_tokens_details")
            self.usage = Usage(
                known["prompt_tokens"] - cached, cached, 0, known.get("completion_tokens", 0), 1
            )
        elif "input_tokens_details" in counted:  # Responses
            cached = _inner(counted, "input_tokens_details")
            self.usage = Usage(known["input_tokens"] - cached, cached, 0, known.get("output_tokens", 0), 1)
        else:
            self.usage = Usage(
                known.get("input_tokens", 0),
                known.get("cache_read_input_tokens", 0),
                known.get("cache_creation_input_tokens", 0),
                known.get("output_tokens", 0),
                1,
            )


def _inner(counted: dict[str, Any], name: str) -> int:
    details = counted.get(name)
    return int(details.get("cached_tokens") or 0) if isinstance(details, dict) else 0
