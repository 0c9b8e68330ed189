"""Claude through the Messages API: streamed, with tools and prompt caching. Logins: harness/agents/api/clients.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.agents.api.asking import asked
from harness.agents.api.chat_agent import CLASSES, ChatAgent, tiny
from harness.agents.api.clients import ApiLogin, claude_address, claude_client, claude_login, plain_headers
from harness.agents.api.model import Exchange, Reply, Request, ToolCall, Trouble, given, repeatable, sendable
from harness.agents.api.patience import Patience
from harness.agents.api.rules import claude_settings
from harness.agents.api.watch import Watch, most_bytes
from harness.agents.memory import DEFAULT_HELPS
from harness.agents.prices import Prices, prices_of
from harness.agents.spending import ProposalLimits
from harness.agents.trying import TOKENS, TinyRequest
from harness.agents.usage import UsageReader
from harness.records import Usage

if TYPE_CHECKING:
    from anthropic.types import Message

_STOPS = {"tool_use": "tools", "max_tokens": "length", "model_context_window_exceeded": "length"}
_SILENCE_SECONDS = 120.0


class Claude(ChatAgent):
    def __init__(
        self,
        model: str,
        prices: Mapping[str, Prices] = {},  # never changed
        limits: ProposalLimits = ProposalLimits(),  # noqa: B008  # frozen
        base_url: str | None = None,
        login: str | None = None,
        effort: str | None = None,
        thinking: str | None = "auto",
        display: str | None = "summarized",
        cache_hour: bool = True,
        memory_tokens: int = 6000,
        file_tokens: int = 40_000,
        attempts: int = 8,
        first_pause_seconds: float = 2.0,
        silence_seconds: float = _SILENCE_SECONDS,
        ahead: int = 1,
        classes: Sequence[str] = CLASSES,
        helps: Sequence[str] = DEFAULT_HELPS,
    ) -> None:
        """See conf/agent/claude.yaml for what each means. Raises UserError without a login,
        ValueError for settings that the model refuses."""
        used = claude_login(login)
        settings = claude_settings(model, thinking, effort, display)
        super().__init__(
            lambda: Messages(model, base_url, settings, cache_hour, used, silence_seconds),
            model,
            lambda: prices_of(prices, model),
            limits,
            Patience(attempts, first_pause_seconds),
            ahead=ahead,
            memory_tokens=memory_tokens,
            file_tokens=file_tokens,
            classes=classes,
            helps=helps,
            tiny_request=_tiny_request(model, base_url, settings, used),
        )


def _tiny_request(
    model: str, base_url: str | None, settings: Mapping[str, Any], login: ApiLogin
) -> TinyRequest | None:
    headers = plain_headers(login)
    if headers is None:
        return None
    body = {"model": model, **settings, **wire(tiny(), {"type": "ephemeral"}), "max_tokens": TOKENS}
    return TinyRequest(model, claude_address(base_url), headers, {**body, "stream": True})


class Messages:
    """The Messages API as a Model. settings: fields of every request, e.g. thinking and effort."""

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        settings: Mapping[str, Any] = {},  # never changed
        cache_hour: bool = False,
        login: ApiLogin | None = None,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self.heard: Callable[[UsageReader], None] = lambda _: None
        self._settings: dict[str, Any] = {"model": model, **settings}
        self._long = {"type": "ephemeral", "ttl": "1h"} if cache_hour else {"type": "ephemeral"}
        self._silence = silence_seconds
        self._client = claude_client(login or claude_login(None), base_url, silence_seconds)
        self._watch: Watch | None = None

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        arguments = {**self._settings, **wire(request, self._long), "max_tokens": most_output}
        watch = self._watch = Watch(seconds, self._silence, most_bytes(most_output), self.heard)
        return asked(watch, lambda: self._streamed(arguments), _reply, len(repr(arguments)), most_output)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.end("closed")

    def _streamed(self, arguments: dict[str, Any]) -> "Message":
        with self._client.messages.stream(**arguments) as stream:
            for _ in stream:
                pass
            message: Message = stream.current_message_snapshot
            return message


def wire(request: Request, long: Mapping[str, str]) -> dict[str, Any]:
    """The request as the API wants it. Four cache marks: system, editable files, opening, last message.

    Longer-lived marks come first, as the API demands.
    """
    opened = [_text(text) for text in request.opening]
    opened[0]["cache_control"] = dict(long)
    opened[-1]["cache_control"] = {"type": "ephemeral"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": opened}]
    for exchange in request.exchanges:
        messages += [{"role": "assistant", "content": exchange.reply.raw}, _said(exchange)]
    if request.exchanges:
        messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    system = [_text(text) for text in request.system]
    system[-1]["cache_control"] = dict(long)
    tools = [{"name": t.name, "description": t.about, "input_schema": dict(t.schema)} for t in request.tools]
    return {"system": system, "messages": messages, **({"tools": tools} if tools else {})}


def _said(exchange: Exchange) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": r.number, "content": r.text, "is_error": r.failed}
        for r in exchange.results
    ]
    if exchange.words:
        content.append(_text(exchange.words))
    return {"role": "user", "content": content}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _reply(message: "Message") -> Reply:
    """Raises Trouble for a message that has no end, or that could not be sent back. Blocks go back as they came:
    thinking belongs to its model and its conversation and must not be changed."""
    if message.stop_reason is None:
        raise Trouble("cut", "the reply ended in the middle")
    calls, raw, texts, thoughts = [], [], [], []
    for block in message.content:
        plain = block.model_dump(mode="json", exclude_unset=True, exclude={"parsed_output"}, warnings="none")
        if block.type == "tool_use":
            plain["input"] = given(block.input) or {}
            calls.append(ToolCall(block.id, block.name, given(block.input)))
        elif block.type == "text":
            texts.append(block.text)
        elif block.type == "thinking":
            thoughts.append(block.thinking)
        raw.append(plain)
    if not sendable(raw) or not repeatable(calls):
        raise Trouble("malformed", "unreadable reply: it could not be sent back")
    return Reply(
        "".join(texts),
        tuple(calls),
        _STOPS.get(message.stop_reason, message.stop_reason),
        _usage(message),
        raw or [_text("(nothing)")],  # an empty message cannot be sent back
        thoughts="\n".join(thought for thought in thoughts if thought),
    )


def _usage(message: "Message") -> Usage | None:
    """As the SDK has put it together; read with the same distrust as the stream."""
    reader = UsageReader(streamed=False)
    said = message.usage.model_dump(mode="json", warnings="none") if message.usage else {}
    reader.take({"type": "message", "usage": said})
    return replace(reader.usage, requests=1) if reader.usage is not None else None
