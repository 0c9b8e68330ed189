"""OpenAI's own models through the Responses API (`responses.py`), and any endpoint that speaks chat completions with
tools: vLLM, Ollama, llama.cpp, gateways."""

import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.agents import keys
from harness.agents.api.asking import asked
from harness.agents.api.chat_agent import CLASSES, ChatAgent, tiny
from harness.agents.api.model import (
    Exchange,
    Model,
    Reply,
    Request,
    ToolCall,
    Trouble,
    given,
    repeatable,
    sendable,
)
from harness.agents.api.patience import Patience
from harness.agents.api.responses import Responses
from harness.agents.api.responses import settings as response_settings
from harness.agents.api.responses import wire as response_wire
from harness.agents.api.rules import openai_reasoning, speaks_responses
from harness.agents.api.watch import Watch, most_bytes, watched
from harness.agents.memory import DEFAULT_HELPS
from harness.agents.prices import FREE, Prices, prices_of
from harness.agents.spending import ProposalLimits
from harness.agents.trying import TOKENS, TinyRequest
from harness.agents.usage import UsageReader
from harness.errors import UserError
from harness.records import Json

_STOPS = {"tool_calls": "tools", "length": "length", "content_filter": "refusal"}
_SILENCE_SECONDS = 600.0  # a local server may take minutes before the first token


class OpenAI(ChatAgent):
    def __init__(
        self,
        model: str,
        prices: Mapping[str, Prices] = {},  # never changed
        limits: ProposalLimits = ProposalLimits(),  # noqa: B008  # frozen
        base_url: str | None = None,
        key: str | None = "OPENAI_API_KEY",
        free: bool = False,
        wire: str | None = None,
        effort: str | None = None,
        summary: str | None = "auto",
        memory_tokens: int = 6000,
        file_tokens: int = 40_000,
        attempts: int = 8,
        first_pause_seconds: float = 2.0,
        silence_seconds: float = _SILENCE_SECONDS,
        ahead: int = 1,
        classes: Sequence[str] = CLASSES,
        helps: Sequence[str] = DEFAULT_HELPS,
    ) -> None:
        """See conf/agent/openai.yaml. Raises UserError without the package or the key,
        ValueError for settings that the model refuses."""
        if importlib.util.find_spec("openai") is None:  # said now; imported after the login was tried
            raise UserError("agent=openai needs the package openai: pip install 'harness[openai]'")
        if key is not None:
            keys.require(key, "agent=openai")
        if wire not in (None, "responses", "chat"):
            raise ValueError(f"wire must be responses, chat or null, not {wire!r}")
        reasoning = openai_reasoning(model, effort, summary)
        is_responses = speaks_responses(model, base_url) if wire is None else wire == "responses"

        def make() -> Model:
            client = openai_client(key, base_url, silence_seconds)
            if is_responses:
                return Responses(model, client, reasoning, silence_seconds)
            return Completions(model, client, effort, silence_seconds)

        super().__init__(
            make,
            model,
            lambda: FREE if free else prices_of(prices, model, "openai"),
            limits,
            Patience(attempts, first_pause_seconds),
            ahead=ahead,
            memory_tokens=memory_tokens,
            file_tokens=file_tokens,
            classes=classes,
            helps=helps,
            tiny_request=_tiny_request(model, key, base_url, is_responses, reasoning, effort),
        )


def _tiny_request(
    model: str,
    key: str | None,
    base_url: str | None,
    is_responses: bool,
    reasoning: Mapping[str, Any],
    effort: str | None,
) -> TinyRequest | None:
    """None where the SDK's client would add headers that we do not know."""
    if any(os.environ.get(name) for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")):
        return None
    base = (base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/")
    if is_responses:
        path = "responses"
        body = {**response_settings(model, reasoning), **response_wire(tiny()), "max_output_tokens": TOKENS}
    else:
        path = "chat/completions"
        body = {**chat_settings(model, effort), **wire(tiny()), "max_completion_tokens": TOKENS}
        body["stream_options"] = {"include_usage": True}

    def headers(_: bool) -> Mapping[str, str]:
        return {"authorization": f"Bearer {(keys.take(key) if key else '') or 'none'}"}

    return TinyRequest(model, f"{base}/{path}", headers, {**body, "stream": True})


def openai_client(key: str | None, base_url: str | None, silence_seconds: float) -> Any:
    """The SDK's client, watched; it never retries by itself."""
    import openai

    return openai.OpenAI(
        api_key=(keys.take(key) if key else "") or "none",
        base_url=base_url,
        max_retries=0,
        timeout=silence_seconds,
        http_client=watched(openai.DefaultHttpxClient, timeout=silence_seconds),
    )


def chat_settings(model: str, effort: str | None) -> dict[str, Any]:
    return {"model": model, **({"reasoning_effort": effort} if effort else {})}


class Completions:
    """Chat completions as a Model."""

    def __init__(self, model: str, client: Any, effort: str | None, silence_seconds: float) -> None:
        self.heard: Callable[[UsageReader], None] = lambda _: None
        self._settings = chat_settings(model, effort)
        self._client, self._silence = client, silence_seconds
        self._watch: Watch | None = None

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        arguments = {**self._settings, **wire(request), "max_completion_tokens": most_output}
        watch = self._watch = Watch(seconds, self._silence, most_bytes(most_output), self.heard)
        sent = len(json.dumps(arguments))
        return asked(watch, lambda: self._streamed(arguments), _Message.reply, sent, most_output)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.end("closed")

    def _streamed(self, arguments: dict[str, Any]) -> "_Message":
        message = _Message()
        with self._client.chat.completions.create(
            **arguments, stream=True, stream_options={"include_usage": True}
        ) as chunks:
            for chunk in chunks:
                message.add(chunk.model_dump(exclude_none=True, warnings="none"))
        return message


class _Message:
    """A reply, put together from its chunks."""

    def __init__(self) -> None:
        self.stop = ""
        self._text = ""
        self._thoughts = ""
        self._refusal = ""
        self._calls: list[tuple[int, dict[str, str]]] = []  # with the index that each came with

    def add(self, chunk: Mapping[str, Any]) -> None:
        for choice in chunk.get("choices", [])[:1]:
            delta = choice.get("delta", {})
            self._text += delta.get("content") or ""
            self._refusal += delta.get("refusal") or ""
            self._thoughts += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for part in delta.get("tool_calls") or []:
                function = part.get("function", {})
                call = self._call(int(part.get("index", 0)), str(part.get("id") or ""), function.get("name"))
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
            self.stop = choice.get("finish_reason") or self.stop

    def _call(self, index: int, number: str, name: Any) -> dict[str, str]:
        """The call that a part belongs to. Some servers give all calls of a reply one index: a name with an id of its
        own begins another."""
        call = next((call for at, call in reversed(self._calls) if at == index), None)
        if call is None or (name and number and call["id"] not in ("", number)):
            call = {"id": "", "name": "", "arguments": ""}
            self._calls.append((index, call))
        call["id"] = call["id"] or number
        return call

    def reply(self) -> Reply:
        """Raises Trouble for a reply that has no end, or that could not be sent back."""
        if not self.stop:
            raise Trouble("cut", "the reply ended in the middle")
        calls = [call for _, call in sorted(self._calls, key=lambda item: item[0])]
        for number, call in enumerate(calls):
            call["id"] = call["id"] or f"call_{number}"
        raw: dict[str, Any] = {"role": "assistant", "content": self._text}
        if calls:
            raw["tool_calls"] = [
                {
                    "id": c["id"],
                    "type": "function",
                    "function": {"name": c["name"], "arguments": c["arguments"]},
                }
                for c in calls
            ]
        parsed = tuple(ToolCall(call["id"], call["name"], json_object(call["arguments"])) for call in calls)
        if not sendable(raw) or not repeatable(parsed):
            raise Trouble("malformed", "unreadable reply: it could not be sent back")
        stop = "refusal" if self._refusal else _STOPS.get(self.stop, "end")
        return Reply(self._text, parsed, stop, None, raw, thoughts=self._thoughts)


def json_object(text: str) -> dict[str, Json] | None:
    """A call's arguments; None for what is no JSON object, or one with NaN or infinities in it."""
    try:
        return given(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return None


def wire(request: Request) -> dict[str, Any]:
    """The request as the API wants it; what never changes comes first, so that the provider can cache it."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "\n\n".join(request.system)}]
    messages.append({"role": "user", "content": "\n\n".join(request.opening)})
    for exchange in request.exchanges:
        messages += [exchange.reply.raw, *_said(exchange)]
    tools = [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.about, "parameters": dict(t.schema)},
        }
        for t in request.tools
    ]
    return {"messages": messages, **({"tools": tools} if tools else {})}


def _said(exchange: Exchange) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": r.number, "content": f"Error: {r.text}" if r.failed else r.text}
        for r in exchange.results
    ]
    return [*said, {"role": "user", "content": exchange.words}] if exchange.words else said
