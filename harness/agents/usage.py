"""Reads what a reply cost out of the bytes that pass: Messages API, Responses and chat completions.

The provider is not trusted to be well-behaved: a count that is negative, no whole number, or more than any request
can have counts as not said; counts within one stream only ever grow, as providers count up.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.records import Usage

_MOST_TOKENS = 10_000_000  # more than any context window; a larger count is no count
_BYTES_PER_TOKEN = 3  # fewer than any tokeniser in use needs for source code and English
_TAIL = 240  # characters
_LINE_END = re.compile(rb"\r\n|\n|\r")  # of server-sent events
_SAYS_NOTHING = ("ping", "keepalive", "heartbeat")
_LAST_WORDS = ("message", "message_stop", "response.completed", "response.incomplete", "response.failed")
_NAMES = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")


@dataclass
class UsageReader:
    """Feed it the body of a reply as it comes. Server-sent events or one JSON object, whichever of them its header
    promises; anything else counts nothing.

    streamed: what the header says, until an event or the end shows what it is. words: events so far that say
    something; pings and comments do not. whole: whether its final word was seen. misreported: counts that could not be
    believed. tail: the end of what was said so far, for those who watch.
    """

    streamed: bool
    hour_writes: int = 0
    whole: bool = False
    words: int = 0
    misreported: int = 0
    received_bytes: int = 0
    tail: str = ""
    _said_bytes: int = 0
    _rest: bytes = b""
    _body: bytearray | None = field(default_factory=bytearray)  # as long as it may be one JSON object
    _finished: bool = False  # chat completions: the reply has its end, but perhaps not yet its count
    _output_known: bool = False  # what a reply begins with is a placeholder
    _data: list[bytes] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def usage(self) -> Usage | None:
        """What the provider has said so far, None until it has said something."""
        if not self._counts:
            return None
        return Usage(**{name: self._counts.get(name, 0) for name in _NAMES}, requests=1)

    def spent(self, sent_bytes: int, most_output: int | None = None) -> Usage:
        """What the request costs as far as is known: where the provider has not said it, an estimate from what was
        sent and what has streamed that is not too low. most_output: what the provider was allowed to say."""
        said = self.usage or Usage(requests=1)
        if "input_tokens" not in self._counts:
            known = said.cached_input_tokens + said.cache_write_tokens
            said = replace(said, input_tokens=max(-(-sent_bytes // _BYTES_PER_TOKEN) - known, 0))
        if self.whole and self._output_known:
            return said
        streamed = self._said_bytes if self.streamed else self.received_bytes
        estimate = -(-streamed // _BYTES_PER_TOKEN)
        if most_output is not None:
            estimate = min(estimate, most_output)
        return replace(said, output_tokens=max(said.output_tokens, estimate))

    def feed(self, piece: bytes) -> None:
        self.received_bytes += len(piece)
        if self._body is not None:
            self._body += piece
        self._rest += piece
        if b"\n" in piece or b"\r" in piece:
            held = b"\r" if self._rest.endswith(b"\r") else b""  # the first half of a line end, perhaps
            *lines, rest = _LINE_END.split(self._rest.removesuffix(held))
            self._rest = rest + held
            for line in lines:
                self._line(line)

    def end(self) -> None:
        """Nothing more will come."""
        if self._body is not None:
            words = self.words
            self._take(bytes(self._body))
            self.streamed &= self.words == words
        else:
            for line in (*_LINE_END.split(self._rest), b""):
                self._line(line)
        self._rest, self._body = b"", None

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:])
            self.streamed, self._body = True, None
        elif not line and self._data:
            self._take(b"\n".join(self._data))
            self._data = []

    def _take(self, text: bytes) -> None:
        try:
            value = json.loads(text)
            if not isinstance(value, dict):
                return
            said = _texts([value.get("delta"), value.get("choices")])
        except (ValueError, RecursionError):
            return
        self._said_bytes += sum(len(part.encode("utf-8", "surrogatepass")) for part in said)
        self.tail = (self.tail + "".join(part for part in said if " " in part or "\n" in part))[-_TAIL:]
        self.take(value)

    def take(self, value: Mapping[str, Any]) -> None:
        """One event or one whole reply."""
        kind = value.get("type")
        self.words += kind not in _SAYS_NOTHING
        inner = value.get("message") or value.get("response") or value
        counted = inner.get("usage") if isinstance(inner, dict) else None
        if isinstance(counted, dict):
            self._count(counted, begins=kind == "message_start")
        choices = value.get("choices")
        self._finished |= kind is None and (not choices or _has_end(choices))
        stopped = kind == "message_delta" and isinstance(counted, dict) and _has_end([value.get("delta")])
        self.whole |= (
            stopped or kind in _LAST_WORDS or (kind is None and self._finished and bool(self._counts))
        )

    def _count(self, counted: Mapping[str, Any], begins: bool) -> None:
        known = _Known(counted)
        name = "completion_tokens" if "prompt_tokens" in counted else "output_tokens"
        output = known.tokens(name)
        if not begins and counted.get(name) is not None:
            self._output_known = output is not None
        self._raise("output_tokens", output)
        if "prompt_tokens" in counted:  # chat completions
            details = known.inside("prompt_tokens_details")
            self._split(details, known.tokens("prompt_tokens"))
        elif "input_tokens_details" in counted:  # Responses
            details = known.inside("input_tokens_details")
            self._split(details, known.tokens("input_tokens"))
            details.misreported += known.misreported
        else:  # Messages API
            details = known.inside("cache_creation")
            self._raise("input_tokens", known.tokens("input_tokens"))
            self._raise("cached_input_tokens", known.tokens("cache_read_input_tokens"))
            self._raise("cache_write_tokens", known.tokens("cache_creation_input_tokens"))
            hours = details.tokens("ephemeral_1h_input_tokens") or 0
            self.hour_writes = min(max(self.hour_writes, hours), self._counts.get("cache_write_tokens", 0))
        self.misreported += known.misreported + details.misreported

    def _split(self, details: "_Known", total: int | None) -> None:
        """OpenAI counts what was read from and written to the cache among the input; we keep them apart."""
        if total is not None:
            cached = min(details.tokens("cached_tokens") or 0, total)
            written = min(details.tokens("cache_write_tokens") or 0, total - cached)
            for name, count in zip(_NAMES, (total - cached - written, cached, written), strict=False):
                self._counts[name] = count  # together or not at all: parts of one total

    def _raise(self, name: str, count: int | None) -> None:
        if count is not None:
            self._counts[name] = max(self._counts.get(name, 0), count)


@dataclass
class _Known:
    """A provider's counts, read with distrust."""

    counts: Mapping[str, Any]
    misreported: int = 0

    def tokens(self, name: str) -> int | None:
        """A whole number that a request can have; None for one that was not said, or is none."""
        value = self.counts.get(name)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
            return value
        self.misreported += 1
        return None

    def inside(self, name: str) -> "_Known":
        inner = self.counts.get(name)
        return _Known(inner if isinstance(inner, Mapping) else {})


def _has_end(parts: Any) -> bool:
    """Whether one of them says why the reply ends."""
    ends = ("finish_reason", "stop_reason")
    return isinstance(parts, list) and any(
        isinstance(part, dict) and any(part.get(name) for name in ends) for part in parts
    )


def _texts(value: Any) -> list[str]:
    """All text in a piece of an event."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _texts(part)]
