"""The API proxy of command-line agents: adds the login, counts what passes, stops before a limit is passed.

Nothing that the agent says about its cost is believed; what the provider answered is counted here. Only the model of
the configuration can be asked, and tools that the provider itself would run (web search, code, remote servers) are
taken out of every request: they would be a way round the sandbox. A watchdog ends a request that has no end.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from harness.agents.api.asking import retry_after
from harness.agents.api.model import Faults
from harness.agents.api.watch import Watch, watched
from harness.agents.command_line.broker import Answer, json_answer
from harness.agents.data_text import finite_number, one_line
from harness.agents.keys import redacted
from harness.agents.spending import Exhausted, Meter, total_tokens
from harness.agents.usage import UsageReader
from harness.errors import UserError
from harness.records import Json

_PASSED_ON = ("content-type", "accept", "user-agent", "originator", "session-id", "thread-id", "x-app")
_PASSED_ON_PREFIXES = ("anthropic-", "openai-beta", "x-openai-", "x-codex-", "x-stainless-", "x-claude-code-")
_PASSED_BACK = ("content-type", "request-id", "x-request-id", "x-should-retry")
_PASSED_BACK_PREFIXES = ("retry-after", "anthropic-ratelimit-", "x-codex-", "x-ratelimit-")
_LOCAL_TOOLS = ("function", "custom", "local_shell", "shell", "apply_patch", "namespace")
_LOCAL_CLAUDE_TOOLS = ("bash_", "text_editor_", "memory_")
_REMOTE_KEYS = ("mcp_servers", "container", "background", "conversation")
_SILENCE_SECONDS = 300.0
_SETTLE_SECONDS = 3.0
_MOST_ERROR_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Upstream:
    """paths: what may be asked. counted: those among them that cost. output_key: which limits a reply, "" where the
    provider takes none. headers: asked for at every request; with True once the last ones were refused. prefix: what
    comes off a path on its way. subscription: nobody pays by the token; a usage limit passes with time.
    """

    base_url: str
    headers: Callable[[bool], Mapping[str, str]] = field(repr=False)
    paths: tuple[str, ...]
    counted: tuple[str, ...]
    output_key: str
    model: str
    prefix: str = ""
    subscription: bool = False


@dataclass
class Proxy:
    """One proposal's. exhausted: the limit at which it stopped, "" while there is money.

    resets_at: when a usage limit passes (time.time), 0.0 without one. words: heard from the provider so far.
    """

    upstream: Upstream
    meter: Meter
    faults: Faults = field(default_factory=Counter)
    heard: Callable[[UsageReader], None] = lambda _: None
    exhausted: str = ""
    session_exhausted: bool = False
    hopeless: str = ""
    resets_at: float = 0.0
    words: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _before: list[tuple[bytes, int]] = field(default_factory=list)
    _watch: Watch | None = None

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method in ("GET", "HEAD"):
            return json_answer({"data": [{"id": self.upstream.model, "object": "model", "type": "model"}]})
        if path not in self.upstream.paths:
            self.faults["refused_path"] += 1
            return json_answer({"error": {"type": "not_found_error", "message": f"no {path} here"}}, 404)
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self.faults["unreadable_request"] += 1
            return _refusal("the request is no JSON object that can be read")
        if value.get("model") != self.upstream.model:
            self.faults["refused_model"] += 1
            return _refusal(f"only the model {self.upstream.model} can be asked")
        self._strip(value)
        if not self._lock.acquire(
            timeout=max(self.meter.seconds_left, 0.0)
        ):  # one at a time: costs are known
            return _refusal("stopped: the time is over")
        try:
            return self._forward(path, headers, value)  # the lock is released by done()
        except Exhausted as limit:
            self.exhausted, self.session_exhausted = str(limit), limit.session
            self._lock.release()
            return _refusal(f"stopped before the limit of {limit}")
        except BaseException:
            self._lock.release()
            raise

    def problem(self) -> str:
        """Why the agent was not served to its end, "" if it was."""
        if self.exhausted:
            self.faults["limit"] += 1
        return self.hopeless or (f"stopped before the limit of {self.exhausted}" if self.exhausted else "")

    def close(self) -> None:
        """Ends a request that is under way, from any thread."""
        if self._watch is not None:
            self._watch.end("closed")

    def settle(self) -> None:
        """Waits until the last request is on the bill; it must have been ended before."""
        if self._lock.acquire(timeout=_SETTLE_SECONDS):
            self._lock.release()

    def _strip(self, value: dict[str, Any]) -> None:
        for key in _REMOTE_KEYS:
            if value.pop(key, None):
                self.faults["stripped"] += 1
        tools = value.get("tools")
        if isinstance(tools, list):
            kept = [tool for tool in tools if _is_local(tool)]
            if len(kept) < len(tools):
                self.faults["stripped"] += 1
                value["tools"] = kept

    def _forward(self, path: str, headers: Mapping[str, str], value: dict[str, Any]) -> Answer:
        """Holds the lock until the reply has passed and is counted."""
        counted = path in self.upstream.counted
        text = canonical(value)
        if counted:
            self.meter.context = 0
            most = self.meter.affordable_output(self._worst_input(text))
            wanted = value.get(self.upstream.output_key)
            if self.upstream.output_key:
                value[self.upstream.output_key] = min(wanted, most) if isinstance(wanted, int) else most
        content = json.dumps(value).encode()
        reply = self._sent(path, headers, content, renewed=False)
        if isinstance(reply, _Sent) and reply.response.status_code == 401 and self.upstream.subscription:
            reply.close()
            reply = self._sent(path, headers, content, renewed=True)
        if isinstance(reply, Answer):
            self._lock.release()
            return reply
        back = _chosen(reply.response.headers, _PASSED_BACK, _PASSED_BACK_PREFIXES)
        status = reply.response.status_code
        if status >= 400:
            return self._failed(reply, status, back)
        costs = (
            counted
            and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
            and status != HTTPStatus.NO_CONTENT
        )
        return Answer(status, back, _Passing(self, reply, text, costs))

    def _sent(self, path: str, headers: Mapping[str, str], content: bytes, renewed: bool) -> "_Sent | Answer":
        import httpx2

        watch = self._watch = Watch(max(self.meter.seconds_left, 1.0), _SILENCE_SECONDS, heard=self._heard)
        client = watched(httpx2.Client, timeout=_SILENCE_SECONDS)
        sent = _chosen(headers, _PASSED_ON, _PASSED_ON_PREFIXES)
        watch.follow()
        try:
            request = client.build_request(
                "POST",
                self.upstream.base_url.rstrip("/") + path.removeprefix(self.upstream.prefix),
                content=content,
                headers={**sent, **self.upstream.headers(renewed)},
            )
            return _Sent(client, client.send(request, stream=True), watch)
        except Exception as error:  # noqa: BLE001  # a provider can break its client in any way
            watch.finish()
            client.close()
            if isinstance(error, UserError):  # the login can no longer be read
                self.hopeless = str(error)
                return _refusal(self.hopeless)
            self.faults[watch.ended or "connection"] += 1
            return json_answer({"error": {"type": "api_error", "message": type(error).__name__}}, 502)

    def _failed(self, reply: "_Sent", status: int, back: Mapping[str, str]) -> Answer:
        """An error is read whole, with a bound: it says whether it is worth going on."""
        body = reply.read(_MOST_ERROR_BYTES)
        reply.close()
        self._note(status, reply.response.headers, body)
        self._lock.release()
        clean = redacted(body.decode("utf-8", "replace")).encode()
        return Answer(status, back, clean)

    def _heard(self, reader: UsageReader) -> None:
        self.words += 1
        self.heard(reader)

    def done(self, reader: UsageReader | None, text: bytes) -> None:
        """A reply has passed, or was cut; the next request may come. reader: None for what costs nothing."""
        try:
            if reader is not None:
                usage = reader.spent(len(text))
                self.meter.add(usage, reader.hour_writes)
                self._before = [*self._before[-7:], (text, total_tokens(usage))]
                if reader.misreported or reader.usage is None:
                    self.faults["misreported_usage"] += 1
        finally:
            self._lock.release()

    def _worst_input(self, text: bytes) -> int:
        """Most tokens this request can have: those of an earlier one that it begins with, and a token a byte."""
        bounds = [len(text)]
        for earlier, tokens in self._before:
            common = _common_prefix(earlier, text)
            if common > len(earlier) // 2:
                bounds.append(tokens + len(text) - common)
        return min(bounds)

    def _note(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        said = _said(body)
        if status == 429:
            self.faults["rate_limit"] += 1
            if self.upstream.subscription:
                self.resets_at = max(self.resets_at, reset_time(headers, body))
        elif status >= 500:
            self.faults["server"] += 1
        elif status in (401, 402, 403, 404) or "credit balance" in said:
            self.hopeless = f"the provider refuses the request: status {status}: {said}".rstrip(": ")
        else:
            self.faults["refused"] += 1


@dataclass
class _Sent:
    """A request whose answer has begun."""

    client: Any
    response: Any
    watch: Watch

    def read(self, most_bytes: int) -> bytes:
        content = b""
        with contextlib.suppress(Exception):  # whatever it is, what came until then is all there is
            for piece in self.response.iter_raw():
                content += piece
                if len(content) >= most_bytes:
                    break
        return content[:most_bytes]

    def close(self) -> None:
        """What is left of the reply is read for its cost, under the watchdog's eyes."""
        try:
            self.response.close()
        finally:
            self.watch.finish()
            self.client.close()


class _Passing:
    """A reply on its way from the provider to the sandbox; counted however it ends."""

    def __init__(self, proxy: Proxy, sent: _Sent, text: bytes, counted: bool) -> None:
        self._proxy, self._sent, self._text, self._counted = proxy, sent, text, counted

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._sent.response.iter_raw()
        except Exception:  # noqa: BLE001  # whatever it is, the sandbox must see that the reply is not whole
            self._proxy.faults[self._sent.watch.ended or "cut"] += 1
            raise ConnectionResetError from None
        if self._sent.watch.ended:  # a shut connection can look like an end
            self._proxy.faults[self._sent.watch.ended] += 1
            raise ConnectionResetError

    def close(self) -> None:
        try:
            self._sent.close()
        finally:
            self._proxy.done(self._sent.watch.reader if self._counted else None, self._text)


def reset_time(headers: Mapping[str, str], body: bytes) -> float:
    """When a subscription's usage limit passes (time.time), as either provider says it; 0.0 where it is not said.

    Claude: a header with seconds since 1970. Codex: `resets_at` or `resets_in_seconds` of the error.
    """
    reset = finite_number(headers.get("anthropic-ratelimit-unified-reset"))
    if reset is not None:
        return reset
    try:
        error: Json = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        error = {}
    if isinstance(error, dict) and "usage_limit" in str(error.get("type")):
        at, wait = finite_number(error.get("resets_at")), finite_number(error.get("resets_in_seconds"))
        return at if at is not None else time.time() + (wait or 0.0)
    waiting = retry_after(headers)
    return time.time() + waiting if waiting is not None and waiting > 60 else 0.0


def _said(body: bytes) -> str:
    """The provider's own words in an error, on one line, without keys."""
    try:
        value = json.loads(body)
        error = value.get("error", value)
        words = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        words = body.decode("utf-8", "replace")
    return one_line(redacted(str(words or "")), 300)


def _chosen(headers: Mapping[str, str], names: tuple[str, ...], prefixes: tuple[str, ...]) -> dict[str, str]:
    lower = {name.lower(): text for name, text in headers.items()}
    return {name: text for name, text in lower.items() if name in names or name.startswith(prefixes)}


def _is_local(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    kind = str(tool.get("type") or "function")
    return kind in _LOCAL_TOOLS or kind.startswith(_LOCAL_CLAUDE_TOOLS)


def canonical(value: dict[str, Any]) -> bytes:
    """What is charged for, in the order in which it grows; marks of the cache move, so they are left out."""
    parts = [value.get(name) for name in ("tools", "instructions", "system", "messages", "input")]
    return json.dumps(_unmarked(parts)).encode()


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unmarked(inner) for key, inner in value.items() if key != "cache_control"}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


def _common_prefix(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _refusal(text: str) -> Answer:
    """A status that no client repeats."""
    error = {"type": "invalid_request_error", "message": text}
    return json_answer({"type": "error", "error": error}, 400)
