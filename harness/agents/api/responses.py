"""The Responses API as a Model: stateless (nothing is stored at the provider), reasoning carried along encrypted."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.agents.api.asking import NOTHING_LEFT, asked
from harness.agents.api.model import (
    Exchange,
    Hopeless,
    Reply,
    Request,
    ToolCall,
    Trouble,
    given,
    repeatable,
    sendable,
)
from harness.agents.api.watch import Watch, most_bytes
from harness.agents.usage import UsageReader
from harness.records import Json

_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "refusal"}
_SENT_BACK = ("reasoning", "message", "function_call")


class Responses:
    """reasoning: the request's field of that name (effort, summary)."""

    def __init__(self, model: str, client: Any, reasoning: Mapping[str, Any], silence_seconds: float) -> None:
        self.heard: Callable[[UsageReader], None] = lambda _: None
        self._settings = settings(model, reasoning)
        self._client, self._silence = client, silence_seconds
        self._watch: Watch | None = None

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        arguments = {**self._settings, **wire(request), "max_output_tokens": max(most_output, 16)}
        watch = self._watch = Watch(seconds, self._silence, most_bytes(most_output), self.heard)
        sent = len(json.dumps(arguments))
        return asked(watch, lambda: self._streamed(arguments), _reply, sent, most_output)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.end("closed")

    def _streamed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The last event's response. Items come whole in events of their own, and again in the last one."""
        items: list[dict[str, Any]] = []
        with self._client.responses.create(**arguments, stream=True) as events:
            for event in events:
                said = event.model_dump(mode="json", exclude_unset=True, warnings="none")
                if said.get("type") == "response.output_item.done":
                    items.append(said["item"])
                elif said.get("type") in ("response.completed", "response.incomplete", "response.failed"):
                    return {
                        "output": items,
                        **{k: v for k, v in said["response"].items() if v or k == "status"},
                    }
                elif said.get("type") == "error":
                    raise _trouble(said)
        raise Trouble("cut", "the reply ended in the middle")


def settings(model: str, reasoning: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of every request."""
    return {
        "model": model,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        **({"reasoning": dict(reasoning)} if reasoning else {}),
    }


def _trouble(error: Mapping[str, Any]) -> Trouble | Hopeless:
    code = str(error.get("code") or "")
    text = f"{code}: {error.get('message')}"
    if any(mark in text for mark in NOTHING_LEFT):
        return Hopeless(f"the account has nothing left: {text}")
    return Trouble("rate_limit" if "rate_limit" in code else "server", text)


def _reply(response: Mapping[str, Any]) -> Reply:
    """Raises Trouble for a response that failed, or that could not be sent back."""
    if response.get("status") == "failed":
        raise _trouble(response.get("error") or {})
    calls, raw, texts, thoughts, refused = [], [], [], [], False
    for item in response["output"]:
        if item["type"] not in _SENT_BACK:
            continue
        raw.append({k: v for k, v in item.items() if k != "status" and v is not None})
        if item["type"] == "function_call":
            calls.append(ToolCall(item["call_id"], item["name"], _arguments(item["arguments"])))
        elif item["type"] == "message":
            texts += [part["text"] for part in item["content"] if part["type"] == "output_text"]
            refused |= any(part["type"] == "refusal" for part in item["content"])
        else:
            thoughts += [part["text"] for part in item.get("summary") or []]
    if not sendable(raw) or not repeatable(calls):
        raise Trouble("malformed", "unreadable reply: it could not be sent back")
    stop = "refusal" if refused else "tools" if calls else "end"
    if response.get("status") == "incomplete":
        stop = _INCOMPLETE.get((response.get("incomplete_details") or {}).get("reason") or "", "length")
    return Reply("".join(texts), tuple(calls), stop, None, raw, thoughts="\n".join(thoughts))


def _arguments(text: Any) -> dict[str, Json] | None:
    try:
        return given(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return None


def wire(request: Request) -> dict[str, Any]:
    """The request as the API wants it; what never changes comes first, so that the provider can cache it."""
    said: list[dict[str, Any]] = [{"role": "user", "content": "\n\n".join(request.opening)}]
    for exchange in request.exchanges:
        said += [*exchange.reply.raw, *_said(exchange)]
    tools = [
        {
            "type": "function",
            "name": t.name,
            "description": t.about,
            "parameters": dict(t.schema),
            "strict": False,
        }
        for t in request.tools
    ]
    return {
        "instructions": "\n\n".join(request.system),
        "input": said,
        **({"tools": tools} if tools else {}),
    }


def _said(exchange: Exchange) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {
            "type": "function_call_output",
            "call_id": r.number,
            "output": f"Error: {r.text}" if r.failed else r.text,
        }
        for r in exchange.results
    ]
    return [*said, {"role": "user", "content": exchange.words}] if exchange.words else said
