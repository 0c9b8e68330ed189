"""A provider on the loopback that misbehaves in one chosen way at its first request and is good afterwards.

It writes raw bytes: every layer from TCP to the words of a tool call can be wrong. What it bills and tells is summed in
`told`, for comparison to the token. Three wire formats: "messages", "chat", "responses".
"""

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
EDIT = {"path": "train.py", "old": "BATCH = 32", "new": "BATCH = 16"}
SUBMIT = {"rationale": "smaller batches", "hypothesis": "more steps"}
WIRES = ("messages", "chat", "responses")
_SERVED = re.compile(rb"\s*HTTP/\S+ 2(?!04)")
COUNTS = {"input": 100, "cached": 20, "output": 30}


@dataclass
class Wire:
    """How one format says things."""

    name: str

    def usage(self, **changes: Any) -> Event:
        c = {**COUNTS, **changes}
        if self.name == "messages":
            return {
                "input_tokens": c["input"],
                "cache_read_input_tokens": c["cached"],
                "cache_creation_input_tokens": 0,
                "output_tokens": c["output"],
            }
        whole = c["input"] + c["cached"] if isinstance(c["input"], int | float) else c["input"]
        if self.name == "chat":
            return {
                "prompt_tokens": whole,
                "completion_tokens": c["output"],
                "prompt_tokens_details": {"cached_tokens": c["cached"]},
            }
        return {
            "input_tokens": whole,
            "input_tokens_details": {"cached_tokens": c["cached"]},
            "output_tokens": c["output"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 150,
        }

    def events(
        self, calls: list[tuple[Any, Any]], usage: Any = None, stop: Any = None, text: Any = ""
    ) -> list[Event]:
        """A whole reply. calls: name and arguments (text is sent as it is). usage: as the format says it."""
        usage = self.usage() if usage is None else usage
        return {"messages": _messages, "chat": _chat, "responses": _responses}[self.name](
            calls, usage, stop, text
        )

    def whole(self, events: list[Event]) -> Event:
        """The same as one JSON object, as it comes where no stream is asked for."""
        if self.name == "responses":
            return dict(events[-1]["response"])
        return whole_message(events) if self.name == "messages" else _whole_completion(events)

    def good(self) -> list[Event]:
        return self.events([("edit_file", EDIT), ("submit", SUBMIT)])

    def sse(self, events: list[Any]) -> list[bytes]:
        """Server-sent events; a value that is text is sent as it is."""
        lines = []
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            kind = event.get("type") if isinstance(event, dict) else None
            lines.append(
                (f"event: {kind}\n" if kind else "").encode()
                + b"data: "
                + data.encode("utf-8", "surrogatepass")
                + b"\n\n"
            )
        return [*lines, b"data: [DONE]\n\n"] if self.name == "chat" else lines


def whole_message(events: list[Event]) -> Event:
    """The Messages API's answer to a request that asks for no stream: what these events add up to."""
    message: Event = {**events[0]["message"], "content": []}
    for event in events[1:]:
        if event["type"] == "content_block_start":
            message["content"].append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            message["content"][-1]["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta":
            message["content"][-1]["input"] = json.loads(event["delta"]["partial_json"])
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] = {**message["usage"], **event["usage"]}
    return message


def _whole_completion(events: list[Event]) -> Event:
    calls = [call for event in events[:-2] for call in event["choices"][0]["delta"].get("tool_calls", [])]
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": events[-2]["choices"][0]["finish_reason"]}
    return {**events[-1], "object": "chat.completion", "choices": [choice]}


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _messages(calls: list[tuple[Any, Any]], usage: Any, stop: Any, text: Any) -> list[Event]:
    started = usage
    if isinstance(usage, dict) and usage:
        started = {**usage, "output_tokens": 0 if usage.get("output_tokens") == 0 else 1}
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "small",
        "content": [],
        "stop_reason": None,
    }
    events: list[Event] = [{"type": "message_start", "message": {**message, "usage": started}}]
    index = 0
    if text != "":
        events += [
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
        ]
        index = 1
    for name, value in calls:
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": _arguments(value)}
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
        index += 1
    reason = stop or ("tool_use" if calls else "end_turn")
    said = {"output_tokens": usage.get("output_tokens")} if isinstance(usage, dict) and usage else usage
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": said}
    )
    return [*events, {"type": "message_stop"}]


def _chat(calls: list[tuple[Any, Any]], usage: Any, stop: Any, text: Any) -> list[Event]:
    common = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small"}
    deltas: list[Event] = [{"role": "assistant", "content": text}]
    for index, (name, value) in enumerate(calls):
        function = {"name": name, "arguments": _arguments(value)}
        deltas.append(
            {
                "tool_calls": [
                    {"index": index, "id": f"call_{index}", "type": "function", "function": function}
                ]
            }
        )
    events = [
        {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    reason = stop or ("tool_calls" if calls else "stop")
    events.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return [*events, {**common, "choices": [], "usage": usage}]


def _responses(calls: list[tuple[Any, Any]], usage: Any, stop: Any, text: Any) -> list[Event]:
    items: list[Event] = []
    if text != "":
        part = {"type": "output_text", "text": text, "annotations": []}
        items.append(
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
        )
    for index, (name, value) in enumerate(calls):
        call = {
            "type": "function_call",
            "id": f"fc_{index}",
            "call_id": f"call_{index}",
            "status": "completed",
        }
        items.append({**call, "name": name, "arguments": _arguments(value)})
    status = "incomplete" if stop else "completed"
    response = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "small",
        "status": status,
        "output": items,
    }
    final = {**response, "usage": usage, **({"incomplete_details": {"reason": stop}} if stop else {})}
    events: list[Event] = [
        {"type": "response.created", "response": {**response, "output": [], "usage": None}}
    ]
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return [*events, {"type": f"response.{status}", "response": final}]


@dataclass
class Line:
    """One connection: the request has been read. begun: a reply that costs something, and its cost is not told yet."""

    connection: socket.socket
    wire: Wire
    provider: "FaultyProvider"
    begun: bool = False

    def raw(self, content: bytes) -> None:
        if _SERVED.match(content):
            self.provider.untold += 1
            self.begun = True
        self.connection.sendall(content)

    def head(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def stream(self, events: list[Any], told: bool | None = True) -> None:
        """A whole reply with these events. told: None: what it says of its cost is nothing to compare with."""
        self.head()
        for part in self.wire.sse(events):
            self.raw(part)
        if told:
            self.tell()

    def whole(self, events: list[Event]) -> None:
        content = json.dumps(self.wire.whole(events)).encode()
        self.head(200, "application/json", content_length=str(len(content)))
        self.raw(content)
        self.tell()

    def tell(self, **changes: int) -> None:
        self.provider.untold -= self.begun
        self.begun = False
        for name, count in {**COUNTS, **changes}.items():
            self.provider.told[name] += count

    def error(self, status: int, body: Any = None, **headers: str) -> None:
        body = {"type": "error", "error": {"type": "api_error", "message": "no"}} if body is None else body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, "application/json", content_length=str(len(content)), **headers)
        self.raw(content)

    def forever(self, piece: bytes, pause: float = 0.05) -> None:
        while not self.provider.closed:
            self.raw(piece)
            time.sleep(pause)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Act = Callable[[Line], None]


@dataclass
class FaultyProvider:
    """act: what happens at the first `times` requests. reply: the events of a good answer to a body, where the wire's
    own would not do. untold: replies whose cost was not told, so that there is nothing to compare an estimate with."""

    wire: Wire
    act: Act
    times: int = 1
    requests: int = 0
    untold: int = 0
    closed: bool = False
    told: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    bodies: list[bytes] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    reply: Callable[[bytes], list[Event]] | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            if self.requests < self.times and getattr(self.act, "before_reading", False):
                self.requests += 1
                self.act(Line(connection, self.wire, self))
                return
            head, body = _request(connection)
            self.headers.append(head)
            self.bodies.append(body)
            self.requests += 1
            line = Line(connection, self.wire, self)
            if self.requests <= self.times:
                self.act(line)
            else:
                events = _numbered(self.reply(body) if self.reply else self.wire.good(), self.requests)
                line.whole(events) if self._wants_whole(body) else line.stream(events)

    def _wants_whole(self, body: bytes) -> bool:
        """Claude Code asks again without a stream where one failed."""
        return self.wire.name == "messages" and not json.loads(body).get("stream")


def _numbered(events: list[Event], request: int) -> list[Event]:
    """Calls have numbers of their own in a whole conversation: where one comes twice, Claude Code asks for ever."""
    text = re.sub(r'"(toolu|call|fc)_(?=\d)', rf'"\1_{request}_', json.dumps(events))
    numbered: list[Event] = json.loads(text)
    return numbered


def _request(connection: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            raise OSError
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(v.split(b":")[1]) for v in head.lower().split(b"\r\n") if v.startswith(b"content-length")), 0
    )
    while len(body) < length:
        if not (part := connection.recv(65536)):
            raise OSError
        body += part
    return head.decode("latin-1"), body
