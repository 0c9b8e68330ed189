"""Any endpoint that speaks OpenAI's chat completions with tools: OpenAI, vLLM, Ollama, llama.cpp, gateways."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.agents import keys
from harness.agents.api.chat_agent import CLASSES, ChatAgent
from harness.agents.api.claude import retry_after
from harness.agents.api.model import Call, Exchange, Hopeless, Reply, Request, Trouble
from harness.agents.api.patience import Patience
from harness.agents.data_text import estimated_tokens
from harness.agents.spending import FREE, Prices, ProposalLimits, prices_of
from harness.errors import UserError
from harness.records import Json, Usage

if TYPE_CHECKING:
    import openai

_STOPS = {"tool_calls": "tools", "length": "length", "content_filter": "refusal"}
_LONGEST_SILENCE_SECONDS = 600.0  # a local server may take minutes before the first token


class OpenAI(ChatAgent):
    def __init__(
        self,
        model: str,
        prices: Mapping[str, Prices],
        limits: ProposalLimits = ProposalLimits(),  # noqa: B008  # frozen
        base_url: str | None = None,
        key: str | None = "OPENAI_API_KEY",
        free: bool = False,
        memory_tokens: int = 6000,
        file_tokens: int = 40_000,
        attempts: int = 8,
        first_pause_seconds: float = 2.0,
        ahead: int = 1,
        classes: Sequence[str] = CLASSES,
    ) -> None:
        """See conf/agent/openai.yaml. Raises UserError without the package or the key, ValueError for a model
        without prices."""
        try:
            import openai  # noqa: F401  # said now, not after the first trials
        except ImportError:
            raise UserError("agent=openai needs the package openai: pip install 'harness[openai]'") from None
        if key is not None:
            keys.require(key, "agent=openai")
        super().__init__(
            lambda: Completions(model, base_url, key),
            FREE if free else prices_of(prices, model),
            limits,
            Patience(attempts, first_pause_seconds),
            ahead=ahead,
            memory_tokens=memory_tokens,
            file_tokens=file_tokens,
            classes=classes,
        )


class Completions:
    """Chat completions as a Model."""

    def __init__(self, model: str, base_url: str | None, key: str | None) -> None:
        import openai

        self._model = model
        self._client = openai.OpenAI(
            api_key=(keys.take(key) if key else "") or "none",
            base_url=base_url,
            max_retries=0,
            timeout=_LONGEST_SILENCE_SECONDS,
        )

    def ask(self, request: Request, most_output: int, seconds: float) -> Reply:
        import httpx
        import openai

        arguments = {**wire(request), "model": self._model, "max_completion_tokens": most_output}
        message = _Message()
        try:
            self._stream(arguments, time.monotonic() + seconds, message)
            return message.reply()
        except TimeoutError:
            raise Trouble("timeout", "the reply took too long", usage=message.spent(arguments)) from None
        except openai.APIStatusError as error:
            raise _by_status(error) from None
        except openai.APITimeoutError:
            raise Trouble("timeout", "no answer in time", usage=message.spent(arguments)) from None
        except (openai.APIConnectionError, httpx.TransportError) as error:
            kind = "cut" if message.started else "connection"
            text = f"connection lost: {type(error).__name__}"
            raise Trouble(kind, text, usage=message.spent(arguments)) from None
        except (openai.OpenAIError, ValueError) as error:
            text = f"unreadable reply: {type(error).__name__}"
            raise Trouble("malformed", text, usage=message.spent(arguments)) from None

    def _stream(self, arguments: dict[str, Any], deadline: float, message: "_Message") -> None:
        with self._client.chat.completions.create(
            **arguments, stream=True, stream_options={"include_usage": True}
        ) as chunks:
            for chunk in chunks:
                message.add(chunk.model_dump(exclude_none=True))
                if time.monotonic() > deadline:
                    raise TimeoutError
        if not message.stop:
            raise Trouble("cut", "the reply ended in the middle", usage=message.spent(arguments))


class _Message:
    """A reply, put together from its chunks."""

    def __init__(self) -> None:
        self.started = False
        self.stop = ""
        self.usage: Usage | None = None
        self._text = ""
        self._refusal = ""
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        self.started = True
        if chunk.get("usage"):
            self.usage = _usage(chunk["usage"])
        for choice in chunk.get("choices", [])[:1]:
            delta = choice.get("delta", {})
            self._text += delta.get("content") or ""
            self._refusal += delta.get("refusal") or ""
            for part in delta.get("tool_calls") or []:
                call = self._calls.setdefault(
                    int(part.get("index", 0)), {"id": "", "name": "", "arguments": ""}
                )
                call["id"] = part.get("id") or call["id"]
                function = part.get("function", {})
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
            self.stop = choice.get("finish_reason") or self.stop

    def spent(self, arguments: Mapping[str, Any]) -> Usage | None:
        """What the provider said, else, once it had begun to answer, an estimate that is not too low."""
        if self.usage is not None or not self.started:
            return self.usage
        said = self._text + "".join(call["arguments"] for call in self._calls.values())
        text = json.dumps(arguments)
        return Usage(estimated_tokens(text), output_tokens=estimated_tokens(said) + 1, requests=1)

    def reply(self) -> Reply:
        """Raises Trouble when the provider did not say what it cost."""
        if self.usage is None:
            raise Trouble("malformed", "the provider reports no usage (stream_options.include_usage)")
        calls = [self._calls[index] for index in sorted(self._calls)]
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
        stop = "refusal" if self._refusal else _STOPS.get(self.stop, "end")
        parsed = tuple(Call(call["id"], call["name"], _object(call["arguments"])) for call in calls)
        return Reply(self._text, parsed, stop, self.usage, raw)


def _object(text: str) -> dict[str, Json] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
    return {"messages": messages, "tools": tools}


def _said(exchange: Exchange) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": r.number, "content": f"Error: {r.text}" if r.failed else r.text}
        for r in exchange.results
    ]
    return [*said, {"role": "user", "content": exchange.words}] if exchange.words else said


def _usage(usage: Mapping[str, Any]) -> Usage:
    """OpenAI counts cached tokens among the prompt's; we keep the two apart."""
    cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return Usage(
        input_tokens=int(usage["prompt_tokens"]) - cached,
        cached_input_tokens=cached,
        output_tokens=int(usage["completion_tokens"]),
        requests=1,
    )


def _by_status(error: "openai.APIStatusError") -> Trouble | Hopeless:
    status = error.status_code
    text = f"{status}: {keys.redacted(str(error))[:300]}"
    if status == 429 and getattr(error, "code", None) == "insufficient_quota":
        return Hopeless(f"the account has nothing left: {text}")
    if status in (408, 409, 429) or status >= 500:
        return Trouble("rate_limit" if status == 429 else "server", text, retry_after(error.response.headers))
    return Hopeless(f"the provider refuses the request: {text}")
