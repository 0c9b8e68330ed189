"""Claude through the Messages API: streamed, with tools and prompt caching. Key: ANTHROPIC_API_KEY."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from harness.agents import keys
from harness.agents.api.chat_agent import CLASSES, ChatAgent
from harness.agents.api.model import Call, Exchange, Hopeless, Reply, Request, Trouble
from harness.agents.api.patience import Patience
from harness.agents.spending import Prices, ProposalLimits, prices_of
from harness.records import Json, Usage

if TYPE_CHECKING:
    import anthropic
    from anthropic.types import Message

KEY = "ANTHROPIC_API_KEY"
_STOPS = {"tool_use": "tools", "max_tokens": "length", "model_context_window_exceeded": "length"}
_LONGEST_SILENCE_SECONDS = 120.0


class Claude(ChatAgent):
    def __init__(
        self,
        model: str,
        prices: Mapping[str, Prices],
        limits: ProposalLimits = ProposalLimits(),  # noqa: B008  # frozen
        base_url: str | None = None,
        effort: str | None = None,
        thinking: str | None = None,
        cache_hour: bool = True,
        memory_tokens: int = 6000,
        file_tokens: int = 40_000,
        attempts: int = 8,
        first_pause_seconds: float = 2.0,
        ahead: int = 1,
        classes: Sequence[str] = CLASSES,
    ) -> None:
        """See conf/agent/claude.yaml for what each means. Raises UserError without a key, ValueError for a
        model without prices."""
        keys.require(KEY, "agent=claude")
        super().__init__(
            lambda: Messages(model, base_url, effort, thinking, cache_hour),
            prices_of(prices, model),
            limits,
            Patience(attempts, first_pause_seconds),
            ahead=ahead,
            memory_tokens=memory_tokens,
            file_tokens=file_tokens,
            classes=classes,
        )


class Messages:
    """The Messages API as a Model."""

    def __init__(
        self, model: str, base_url: str | None, effort: str | None, thinking: str | None, cache_hour: bool
    ) -> None:
        import anthropic

        self._settings: dict[str, Any] = {"model": model}
        if effort is not None:
            self._settings["output_config"] = {"effort": effort}
        if thinking is not None:
            self._settings["thinking"] = {"type": thinking}
        self._long = {"type": "ephemeral", "ttl": "1h"} if cache_hour else {"type": "ephemeral"}
        self._client = anthropic.Anthropic(
            api_key=keys.take(KEY), base_url=base_url, max_retries=0, timeout=_LONGEST_SILENCE_SECONDS
        )

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        import anthropic
        import httpx2

        arguments = {**self._settings, **wire(request, self._long), "max_tokens": most_output}
        seen: list[Message] = []

        def trouble(kind: str, text: str, wait: float | None = None) -> Trouble:
            return Trouble(kind, text, wait, _usage(seen), _hour_writes(seen))

        try:
            self._stream(arguments, time.monotonic() + seconds, seen)
            if not seen or seen[0].stop_reason is None:
                raise trouble("cut", "the reply ended in the middle")
            return _reply(seen[0])
        except TimeoutError:
            raise trouble("timeout", "the reply took too long") from None
        except anthropic.APIStatusError as error:
            kind = _passing(error)
            text = f"{error.status_code}: {keys.redacted(str(error))[:300]}"
            if kind is None:
                raise Hopeless(f"the provider refuses the request: {text}") from None
            raise trouble(kind, text, retry_after(error.response.headers)) from None
        except anthropic.APITimeoutError:
            raise trouble("timeout", "the provider did not answer in time") from None
        except (anthropic.APIConnectionError, httpx2.TransportError) as error:
            lost = "cut" if seen else "connection"
            raise trouble(lost, f"connection lost: {type(error).__name__}") from None
        except (anthropic.APIError, ValueError, RuntimeError) as error:
            raise trouble("malformed", f"unreadable reply: {type(error).__name__}") from None

    def _stream(self, arguments: dict[str, Any], deadline: float, seen: "list[Message]") -> None:
        """`seen` gets the message as soon as it starts: what a cut stream had cost stands in it.

        Raises TimeoutError at the deadline (of time.monotonic).
        """
        with self._client.messages.stream(**arguments) as stream:
            for _ in stream:
                seen[:] = [stream.current_message_snapshot]
                if time.monotonic() > deadline:
                    raise TimeoutError


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
    return {"system": system, "tools": tools, "messages": messages}


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
    calls = []
    raw: list[dict[str, Any]] = []
    for block in message.content:
        raw.append(block.model_dump(exclude_none=True, exclude={"parsed_output"}))
        if block.type == "tool_use":
            given = cast(dict[str, Json], block.input) if isinstance(block.input, dict) else None
            calls.append(Call(block.id, block.name, given))
            raw[-1]["input"] = given or {}
    text = "".join(block.text for block in message.content if block.type == "text")
    stop = _STOPS.get(message.stop_reason or "", message.stop_reason or "end")
    usage = _usage([message])
    assert usage is not None
    raw = raw or [_text("(nothing)")]  # an empty message cannot be sent back
    return Reply(text, tuple(calls), stop, usage, raw, _hour_writes([message]))


def _hour_writes(seen: "Sequence[Message]") -> int:
    created = seen[0].usage.cache_creation if seen else None
    return created.ephemeral_1h_input_tokens if created is not None else 0


def _usage(seen: "Sequence[Message]") -> Usage | None:
    if not seen:
        return None
    usage = seen[0].usage
    return Usage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
        output_tokens=usage.output_tokens,
        requests=1,
    )


def _passing(error: "anthropic.APIStatusError") -> str | None:
    """The kind of trouble, None for one that asking again cannot cure. Inside a stream the status is 200."""
    status = error.status_code
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    kind = inner.get("type", "") if isinstance(inner, dict) else ""
    if status == 429 or kind == "rate_limit_error":
        return "rate_limit"
    passing = status in (408, 409) or status >= 500
    return "server" if passing or kind in ("overloaded_error", "api_error", "timeout_error") else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a provider asks us to wait."""
    for name, factor in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) * factor, 0.0)
        except (KeyError, ValueError):
            continue
    return None
