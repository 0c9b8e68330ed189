"""The seam between the conversation and a provider: a request, a reply, and what may go wrong on the way."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.records import Json, Usage


@dataclass(frozen=True, slots=True)
class Tool:
    """schema: JSON schema of the input, an object."""

    name: str
    about: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model. input: None when it was no JSON object."""

    number: str
    name: str
    input: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool answered. number: of the call."""

    number: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """stop: "tools", "end", "length" (cut at our limit), "refusal". raw: the message, for sending it back.

    hour_writes: tokens among usage.cache_write_tokens that were cached for an hour.
    """

    text: str
    calls: tuple[Call, ...]
    stop: str
    usage: Usage
    raw: Any
    hour_writes: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply and what we said to it: results of its calls, or words where it made none."""

    reply: Reply
    results: tuple[Result, ...] = ()
    words: str = ""


@dataclass
class Request:
    """system: never changes within a session. opening: the first message, what changes least first."""

    system: tuple[str, ...]
    opening: tuple[str, ...]
    tools: tuple[Tool, ...]
    exchanges: list[Exchange] = field(default_factory=list)

    def new_bytes(self) -> int:
        """Bytes that the provider has not counted yet; a token is never shorter than a byte."""
        if not self.exchanges:
            tools = json.dumps([[tool.name, tool.about, dict(tool.schema)] for tool in self.tools])
            return sum(_bytes(text) for text in (*self.system, *self.opening, tools))
        last = self.exchanges[-1]
        return _bytes(last.words) + sum(_bytes(result.text) for result in last.results)


class Model(Protocol):
    """One provider and one of its models."""

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        """Raises Trouble when it is worth asking again, and Hopeless when it is not."""


class Trouble(Exception):
    """A passing failure. kind: "rate_limit", "server", "timeout", "connection", "cut", "malformed".

    usage: what the provider had counted when it happened; hour_writes: as in a Reply.
    """

    def __init__(
        self,
        kind: str,
        text: str,
        retry_after: float | None = None,
        usage: Usage | None = None,
        hour_writes: int = 0,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.retry_after = retry_after
        self.usage = usage
        self.hour_writes = hour_writes


class Hopeless(Exception):
    """The provider refuses to serve us: wrong key, unknown model, nothing left on the account."""


Faults = Counter[str]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
