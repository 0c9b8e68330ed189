"""The API proxy of command-line agents: adds the key, counts what passes, stops before a limit is passed.

Nothing that the agent says about its cost is believed; what the provider answered is counted here. Only the model of
the configuration can be asked, and tools that the provider itself would run (web search, code, remote servers) are
taken out of every request: they would be a way round the sandbox.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.agents.api.model import Faults
from harness.agents.command_line.broker import Answer, json_answer
from harness.agents.command_line.usage import UsageReader
from harness.agents.spending import Exhausted, Meter, total_tokens
from harness.records import Usage

_PASSED_ON = ("content-type", "anthropic-version", "anthropic-beta", "openai-beta", "accept", "user-agent")
_PASSED_BACK = (
    "content-type",
    "retry-after",
    "retry-after-ms",
    "request-id",
    "x-request-id",
    "x-should-retry",
)
_LOCAL_TOOLS = ("function", "custom", "local_shell", "shell", "apply_patch", "namespace")
_LOCAL_CLAUDE_TOOLS = ("bash_", "text_editor_", "memory_")
_REMOTE_KEYS = ("mcp_servers", "container", "background", "conversation")
_SILENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """paths: what may be asked. counted: those among them that cost. output_key: which limits a reply."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    paths: tuple[str, ...]
    counted: tuple[str, ...]
    output_key: str
    model: str


@dataclass
class Proxy:
    """One proposal's. exhausted: the limit at which it stopped, "" while there is money."""

    upstream: Upstream
    meter: Meter
    faults: Faults = field(default_factory=Counter)
    exhausted: str = ""
    session_exhausted: bool = False
    hopeless: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _before: list[tuple[bytes, int]] = field(default_factory=list)

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method in ("GET", "HEAD"):
            return json_answer({"data": [{"id": self.upstream.model, "object": "model", "type": "model"}]})
        if path not in self.upstream.paths:
            self.faults["refused_path"] += 1
            return json_answer({"error": {"type": "not_found_error", "message": f"no {path} here"}}, 404)
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict) or value.get("model") != self.upstream.model:
            self.faults["refused_model"] += 1
            return _refusal(f"only the model {self.upstream.model} can be asked")
        self._strip(value)
        self._lock.acquire()  # one request at a time: what it may cost is known before the next
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
        import httpx2

        counted = path in self.upstream.counted
        text = canonical(value)
        if counted:
            self.meter.context = 0
            most = self.meter.affordable_output(self._worst_input(text))
            wanted = value.get(self.upstream.output_key)
            value[self.upstream.output_key] = min(wanted, most) if isinstance(wanted, int) else most
        sent = {name: headers[name] for name in _PASSED_ON if name in headers}
        client = httpx2.Client(timeout=_SILENCE_SECONDS)
        request = client.build_request(
            "POST",
            self.upstream.base_url.rstrip("/") + path,
            content=json.dumps(value).encode(),
            headers={**sent, **self.upstream.headers, "accept-encoding": "identity"},
        )
        try:
            response = client.send(request, stream=True)
        except httpx2.TransportError as error:
            client.close()
            self.faults["connection"] += 1
            self._lock.release()
            return json_answer({"error": {"type": "api_error", "message": type(error).__name__}}, 502)
        back = {name: response.headers[name] for name in _PASSED_BACK if name in response.headers}
        self._note(response.status_code)
        return Answer(response.status_code, back, _Passing(self, client, response, text, counted))

    def done(self, reader: UsageReader | None, text: bytes) -> None:
        """A reply has passed, or was cut; the next request may come. reader: None for what costs nothing."""
        if reader is not None:
            self._count(reader, text)
        self._lock.release()

    def _count(self, reader: UsageReader, text: bytes) -> None:
        usage = reader.usage
        if usage is None:  # cut before the provider said anything: an estimate that is not too low
            usage = Usage(input_tokens=len(text) // 3, output_tokens=reader.received_bytes // 3, requests=1)
        self.meter.add(usage, reader.hour_writes)
        self._before = [*self._before[-7:], (text, total_tokens(usage))]

    def _worst_input(self, text: bytes) -> int:
        """Most tokens this request can have: those of an earlier one that it begins with, and a token a byte."""
        bounds = [len(text)]
        for earlier, tokens in self._before:
            common = _common_prefix(earlier, text)
            if common > len(earlier) // 2:
                bounds.append(tokens + len(text) - common)
        return min(bounds)

    def _note(self, status: int) -> None:
        if status == 429:
            self.faults["rate_limit"] += 1
        elif status >= 500:
            self.faults["server"] += 1
        elif status in (401, 402, 403, 404):
            self.hopeless = f"the provider refuses the request: status {status}"


class _Passing:
    """A reply on its way from the provider to the sandbox; counted however it ends."""

    def __init__(self, proxy: Proxy, client: Any, response: Any, text: bytes, counted: bool) -> None:
        self._proxy, self._client, self._response, self._text = proxy, client, response, text
        self._reader = UsageReader("event-stream" in response.headers.get("content-type", ""))
        self._counted = counted and response.status_code == 200

    def __iter__(self) -> Iterator[bytes]:
        import httpx2

        try:
            for piece in self._response.iter_raw():
                self._reader.feed(piece)
                yield piece
            self._reader.end()
        except httpx2.TransportError:
            self._proxy.faults["cut"] += 1
            raise ConnectionResetError from None  # the sandbox must see that it is not whole

    def close(self) -> None:
        self._response.close()
        self._client.close()
        self._proxy.done(self._reader if self._counted else None, self._text)


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
