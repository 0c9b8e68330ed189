"""The seam between the conversation and a provider: a request, a reply, and what may go wrong on the way."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.agents.usage import UsageReader
from harness.records import Json, Usage


@dataclass(frozen=True, slots=True)
class Tool:
    """schema: JSON schema of the input, an object."""

    name: str
    about: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of the model. input: None when it was no JSON object."""

    number: str
    name: str
    input: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered. number: of the call."""

    number: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """stop: "tools", "end", "length" (cut at our limit), "refusal". raw: the message, for sending it back.

    usage: None while nobody has said it. hour_writes: tokens among usage.cache_write_tokens that were cached for an
    hour. thoughts: what the provider shows of the model's thinking. misreported: counts that were no counts.
    """

    text: str
    calls: tuple[ToolCall, ...]
    stop: str
    usage: Usage | None
    raw: Any
    hour_writes: int = 0
    thoughts: str = ""
    misreported: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply and what we said to it: results of its calls, or words where it made none."""

    reply: Reply
    results: tuple[ToolResult, ...] = ()
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
    """One provider and one of its models. heard: told, from the request's thread, when it says something."""

    heard: Callable[[UsageReader], None]

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        """The reply, its usage filled in, within `seconds`.

        Raises Trouble when it is worth asking again, Refused when this request is not, Hopeless when none is.
        """

    def close(self) -> None:
        """Ends a request that is under way, from any thread."""


class Failure(Exception):
    """What came of a request instead of a reply. usage: what the provider had counted when it happened; hour_writes: as
    in a Reply."""

    usage: Usage | None = None
    hour_writes: int = 0


class Trouble(Failure):
    """A passing failure. kind: "rate_limit", "server", "timeout", "silence", "too_large", "closed", "connection",
    "cut", "malformed"."""

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


class Hopeless(Failure):
    """The provider refuses to serve us: wrong key, unknown model, nothing left on the account."""


class Refused(Failure):
    """The provider refuses this request, for instance because it is too long; another one may be served."""


Faults = Counter[str]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def sendable(value: Any) -> bool:
    """Whether a reply can be sent back as it is: JSON as the providers read it has no NaN and no half characters."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def repeatable(calls: Sequence[ToolCall]) -> bool:
    """Whether calls can be sent back and answered: each needs a number of its own, and a name."""
    named = all(isinstance(text, str) and text for call in calls for text in (call.number, call.name))
    return named and len({call.number for call in calls}) == len(calls)


def given(value: Any) -> dict[str, Json] | None:
    """A call's input, None for what is no JSON object or cannot be said again."""
    return value if isinstance(value, dict) and sendable(value) else None
