"""A loopback server that speaks the wire formats of the Messages API, chat completions and Responses.

It counts tokens by itself (a token is four bytes), keeps a prefix cache as the real ones do, and can be told to
fail in every way that a real one does.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass
class Turn:
    """What the model says. calls: (tool, input); an input that is a string is sent as it is (malformed JSON)."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str = ""  # default: by whether there are calls
    cut_after: int | None = None  # events, then the connection is closed


@dataclass
class Fault:
    """An HTTP error instead of a reply."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = field(
        default_factory=lambda: {"type": "error", "error": {"type": "api_error", "message": "no"}}
    )


Script = Callable[[int, Body], Turn | Fault]


@dataclass
class Seen:
    """A request as it came. usage: what we told the client, None where we told nothing."""

    path: str
    headers: dict[str, str]
    body: Body
    raw: bytes
    usage: dict[str, int] | None = None


class FakeProvider:
    """script(number of the request from 0, body) -> what to answer."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self._cache: set[str] = set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def total(self, key: str) -> int:
        """A usage count, summed over everything that we told a client."""
        return sum((seen.usage or {}).get(key, 0) for seen in self.seen)

    def arrived(self, path: str, headers: dict[str, str], raw: bytes) -> tuple[Seen, Turn | Fault]:
        body = json.loads(raw or b"{}")
        with self._lock:
            seen = Seen(path, headers, body, raw)
            self.seen.append(seen)
            return seen, self.script(len(self.seen) - 1, body)

    def count(self, body: Body, reply: Turn) -> dict[str, int]:
        """Usage in the words of the Messages API, with a prefix cache at the marks that the request sets."""
        blocks = list(_blocks(body))
        sizes = [len(json.dumps(_without_mark(block))) // 4 + 1 for block in blocks]
        digest, marks, total = hashlib.sha256(), [], 0
        for block, size in zip(blocks, sizes, strict=True):
            digest.update(json.dumps(_without_mark(block), sort_keys=True).encode())
            total += size
            if "cache_control" in block:
                marks.append((total, digest.hexdigest(), block["cache_control"].get("ttl", "5m")))
        assert len(marks) <= 4, "the API takes four cache marks"
        with self._lock:
            read = max((size for size, name, _ in marks if name in self._cache), default=0)
            self._cache |= {name for _, name, _ in marks}
        last = max((size for size, _, _ in marks), default=0)
        hour = max((size for size, _, ttl in marks if ttl == "1h"), default=0)
        return {
            "input_tokens": total - max(last, read),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": max(last - read, 0),
            "hour": max(hour - read, 0),
            "output_tokens": len(reply.text) // 4
            + sum(len(json.dumps(call)) for call in reply.calls) // 4
            + 1,
        }


def _blocks(body: Body) -> Iterator[Body]:
    """Everything of a Messages request in the order in which it is cached."""
    yield from ({"tool": tool} for tool in body.get("tools", []))
    system = body.get("system", [])
    yield from [{"text": system}] if isinstance(system, str) else system
    for message in body.get("messages", []):
        content = message["content"]
        yield from [{"text": content}] if isinstance(content, str) else content


def _without_mark(block: Body) -> Body:
    return {key: value for key, value in block.items() if key != "cache_control"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: FakeProvider

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._json({"data": [], "object": "list", "has_more": False})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            self._json({"input_tokens": len(raw) // 4})
            return None
        seen, turn = self.provider.arrived(path, dict(self.headers), raw)
        if isinstance(turn, Fault):
            return self._json(turn.body, turn.status, turn.headers)
        if path.endswith("/messages"):
            return self._messages(seen, turn)
        return (
            self._completions(seen, turn)
            if path.endswith("/chat/completions")
            else self._responses(seen, turn)
        )

    def _json(self, value: Body, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: list[str], cut_after: int | None) -> None:
        """Chunked, so that a cut stream is told from one that has ended."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")  # said, or a client might ask again on it just as it closes
        self.end_headers()
        for event in events[:cut_after]:
            content = event.encode()
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()
        if cut_after is None or cut_after >= len(events):
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _messages(self, seen: Seen, turn: Turn) -> None:
        counted = self.provider.count(seen.body, turn)
        hour = counted.pop("hour")
        five = counted["cache_creation_input_tokens"] - hour
        created = {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": five}
        usage = {**counted, "cache_creation": created}
        stop = turn.stop or ("tool_use" if turn.calls else "end_turn")
        blocks: list[Body] = [{"type": "text", "text": turn.text}] if turn.text else []
        for number, (name, value) in enumerate(turn.calls):
            identity = f"toolu_{len(self.provider.seen)}_{number}"
            blocks.append({"type": "tool_use", "id": identity, "name": name, "input": value})
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": seen.body.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 1},
        }
        if not seen.body.get("stream"):
            seen.usage = counted
            self._json({**message, "content": blocks, "stop_reason": stop, "usage": usage})
            return
        events: list[Body] = [{"type": "message_start", "message": message}]
        for index, block in enumerate(blocks):
            events += _block_events(index, block)
        final = {"output_tokens": usage["output_tokens"]}
        events.append(
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": final}
        )
        events.append({"type": "message_stop"})
        told_all = turn.cut_after is None or turn.cut_after >= len(events) - 1
        told = counted if told_all else {**counted, "output_tokens": 1}
        seen.usage = {**told, "hour": hour}
        if turn.cut_after == 0:
            seen.usage = None
        self._stream([f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events], turn.cut_after)

    def _completions(self, seen: Seen, turn: Turn) -> None:
        total = len(json.dumps(seen.body.get("messages"))) // 4
        cached = min(total, 64 * (len(self.provider.seen) > 1))
        counted = self.provider.count({}, turn)["output_tokens"]
        seen.usage = {
            "input_tokens": total - cached,
            "cache_read_input_tokens": cached,
            "output_tokens": counted,
        }
        usage = {
            "prompt_tokens": total,
            "completion_tokens": counted,
            "total_tokens": total + counted,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        deltas: list[Body] = [{"role": "assistant", "content": turn.text}]
        for index, (name, value) in enumerate(turn.calls):
            text = value if isinstance(value, str) else json.dumps(value)
            function = {"name": name, "arguments": text[:5]}
            identity = f"call_{len(self.provider.seen)}_{index}"
            deltas.append(
                {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}
            )
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": text[5:]}}]})
        stop = turn.stop or ("tool_calls" if turn.calls else "stop")
        common = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": seen.body["model"]}
        chunks = [{**common, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}]})
        chunks.append({**common, "choices": [], "usage": usage})
        if turn.cut_after is not None:
            seen.usage = None
        self._stream([f"data: {json.dumps(c)}\n\n" for c in chunks] + ["data: [DONE]\n\n"], turn.cut_after)

    def _responses(self, seen: Seen, turn: Turn) -> None:
        total = len(json.dumps(seen.body.get("input"))) // 4
        output = self.provider.count({}, turn)["output_tokens"]
        cached = min(total, 64 * (len(self.provider.seen) > 1))
        seen.usage = {
            "input_tokens": total - cached,
            "cache_read_input_tokens": cached,
            "output_tokens": output,
        }
        items: list[Body] = []
        for number, (name, value) in enumerate(turn.calls):
            identity = f"{len(self.provider.seen)}_{number}"
            items.append(
                {
                    "type": "function_call",
                    "id": f"fc_{identity}",
                    "call_id": f"call_{identity}",
                    "name": name,
                    "arguments": value if isinstance(value, str) else json.dumps(value),
                    "status": "completed",
                }
            )
        if turn.text:
            content = [{"type": "output_text", "text": turn.text, "annotations": []}]
            items.append(
                {
                    "type": "message",
                    "id": "m1",
                    "role": "assistant",
                    "status": "completed",
                    "content": content,
                }
            )
        response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": seen.body.get("model"),
            "status": "completed",
            "output": items,
            "usage": {
                "input_tokens": total,
                "input_tokens_details": {"cached_tokens": cached},
                "output_tokens": output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": total + output,
            },
        }
        if not seen.body.get("stream"):
            self._json(response)
            return
        reasons = {"content_filter": "content_filter", "length": "max_output_tokens"}
        if turn.stop in reasons:
            response |= {"status": "incomplete", "incomplete_details": {"reason": reasons[turn.stop]}}
        started = {**response, "status": "in_progress", "output": [], "usage": None}
        events: list[Body] = [{"type": "response.created", "response": started}]
        for index, item in enumerate(items):
            events.append({"type": "response.output_item.added", "output_index": index, "item": item})
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        events.append({"type": f"response.{response['status']}", "response": response})
        if turn.cut_after is not None and turn.cut_after < len(events):
            seen.usage = None
        texts = [
            f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
            for number, event in enumerate(events)
        ]
        self._stream(texts, turn.cut_after)


def _block_events(index: int, block: Body) -> list[Body]:
    if block["type"] == "text":
        start = {"type": "text", "text": ""}
        half = len(block["text"]) // 2
        parts = [
            {"type": "text_delta", "text": text} for text in (block["text"][:half], block["text"][half:])
        ]
    else:
        start = {**block, "input": {}}
        text = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
        half = len(text) // 2
        parts = [{"type": "input_json_delta", "partial_json": part} for part in (text[:half], text[half:])]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": part} for part in parts),
        {"type": "content_block_stop", "index": index},
    ]
