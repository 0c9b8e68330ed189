"""Every way of misbehaving that the fault harness tries, by name: TCP, HTTP, server-sent events, JSON, usage, calls."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

from faulty_provider import EDIT, SUBMIT, Act, Event, Line

DEEP = "[" * 30_000 + "]" * 30_000
HUGE_NUMBER = "1" + "0" * 400


def _error(status: int, body: Any = None, **headers: str) -> Act:
    return lambda line: line.error(status, body, **headers)


def _typed(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, "code": None}}


def _says_nothing(_: Line) -> None:
    time.sleep(30)


def _headed(content: bytes, **headers: str) -> Act:
    def act(line: Line) -> None:
        line.head(**headers)
        line.raw(content)

    return act


def _whole(line: Line) -> bytes:
    return b"".join(line.wire.sse(line.wire.good()))


def _slowly(line: Line) -> None:
    """A byte at a time: it would take for ever."""
    line.head()
    for byte in _whole(line) * 1000:
        line.raw(bytes([byte]))
        time.sleep(0.05)


def _chunked(tail: bytes) -> Act:
    def act(line: Line) -> None:
        line.head(transfer_encoding="chunked")
        content = _whole(line)[:200]
        line.raw(b"%x\r\n%s\r\n" % (len(content), content) + tail)

    return act


def _zipped(line: Line) -> None:
    line.head(content_encoding="gzip")
    line.raw(gzip.compress(_whole(line)))
    line.tell()


def _silent_after(events: int) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)
        time.sleep(30)

    return act


def _pings_after(events: int, piece: bytes) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)
        line.forever(piece)

    return act


def _endless_text(line: Line) -> None:
    """Words without end: the bound on bytes or the clock ends them."""
    line.head()
    for part in line.wire.sse(line.wire.good())[:2]:
        line.raw(part)
    piece = (
        b"data: "
        + json.dumps({"type": "content_block_delta", "index": 0, "delta": "x" * 60_000}).encode()
        + b"\n\n"
    )
    line.forever(piece, 0.0)


def _respelled(change: Callable[[bytes], bytes], told: bool = True) -> Act:
    def act(line: Line) -> None:
        line.head()
        line.raw(change(_whole(line)))
        if told:
            line.tell()

    return act


def _between(text: str) -> Act:
    """Something strange between good events: passed over, or the reply is asked for again."""

    def act(line: Line) -> None:
        events = line.wire.sse(line.wire.good())
        line.head()
        for part in [*events[:2], text.encode("utf-8", "surrogatepass"), *events[2:]]:
            line.raw(part)

    return act


def _cut(events: int) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)

    return act


def _usage(value: Any = None, told: dict[str, int] | None = None, **changes: Any) -> Act:
    def act(line: Line) -> None:
        usage = value if value is not None else line.wire.usage(**changes)
        usage = None if usage == "null" else usage
        calls: list[tuple[Any, Any]] = [("edit_file", EDIT), ("submit", SUBMIT)]
        line.stream(line.wire.events(calls, "" if usage is None else usage), told=None)
        if told is not None:
            line.tell(**told)

    return act


def _calls(*calls: tuple[Any, Any], **more: Any) -> Act:
    return lambda line: line.stream(line.wire.events(list(calls), **more))


def _mutated(change: Callable[[list[Event]], Any]) -> Act:
    def act(line: Line) -> None:
        events = line.wire.good()
        change(events)
        line.stream(events, told=None)

    return act


def _everywhere(name: str, value: Any) -> Act:
    """One field of every event replaced, however deep it lies."""

    def put(inside: Any) -> None:
        if isinstance(inside, dict):
            for key in list(inside):
                if key == name:
                    inside[key] = value
                else:
                    put(inside[key])
        elif isinstance(inside, list):
            for item in inside:
                put(item)

    return _mutated(lambda events: [put(event) for event in events])


TCP: dict[str, Act] = {
    "closed at once": lambda line: line.connection.close(),
    "reset": lambda line: line.reset(),
    "says nothing": _says_nothing,
    "garbage for a status": lambda line: line.raw(b"\x00\xff\x13 hello\r\n\r\n"),
    "status without reason": lambda line: line.raw(b"HTTP/1.1 200\r\n\r\n"),
    "status 999": lambda line: line.raw(b"HTTP/1.1 999 what\r\ncontent-length: 0\r\n\r\n"),
    "status 99": lambda line: line.raw(b"HTTP/1.1 099 what\r\ncontent-length: 0\r\n\r\n"),
    "endless headers": lambda line: (line.raw(b"HTTP/1.1 200 OK\r\n"), line.forever(b"x: y\r\n"))[0],
    "a byte of header a time": lambda line: line.forever(b"H"),
    "huge header": lambda line: line.raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000 + b"\r\n\r\n"),
    "endless continue": lambda line: line.forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "bad header": lambda line: line.raw(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
    "two lengths": lambda line: line.raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"
    ),
    "length is no number": lambda line: line.raw(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nabcd"),
    "header only": _headed(b""),
    "header then silence": lambda line: (line.head(), time.sleep(30))[0],
    "too long a length": _headed(b"data: {}\n\n", content_length="100000"),
    "too short a length": _headed(b"data: {}\n\ndata: {}\n\n", content_length="5"),
    "bad chunk": _chunked(b"zz\r\nhello\r\n"),
    "cut chunk": _chunked(b"ffff\r\nhello"),
    "negative chunk": _chunked(b"-5\r\nhello\r\n"),
    "no last chunk": _chunked(b""),
    "false gzip": _headed(b"data: {}\n\n", content_encoding="gzip"),
    "true gzip though identity was asked for": _zipped,
    "unknown encoding": _headed(b"data: {}\n\n", content_encoding="rot13"),
}
STATUS: dict[str, Act] = {
    "204": _headed(b"", status=204),  # type: ignore[arg-type]  # a number
    "301 elsewhere": _error(301, b"", location="http://127.0.0.1:9/"),
    "302 to itself": _error(302, b"", location="/v1/messages"),
    "400": _error(400, _typed("invalid_request_error", "prompt is too long")),
    "400 nothing left": _error(400, _typed("invalid_request_error", "Your credit balance is too low")),
    "401": _error(401, _typed("authentication_error", "invalid x-api-key sk-canary-4711")),
    "402": _error(402, _typed("billing_error")),
    "403": _error(403, _typed("permission_error")),
    "404": _error(404, _typed("not_found_error", "model: small")),
    "408": _error(408),
    "409": _error(409),
    "413": _error(413, _typed("request_too_large")),
    "418 without JSON": _error(418, b"I'm a teapot"),
    "422": _error(422),
    "429": _error(429, _typed("rate_limit_error")),
    "429 quota": _error(429, {"error": {"code": "insufficient_quota", "message": "nothing left"}}),
    "500": _error(500),
    "502 as HTML": _error(502, b"<html>bad gateway</html>"),
    "503 empty": _error(503, b""),
    "504": _error(504),
    "529": _error(529, _typed("overloaded_error")),
    "500 JSON list": _error(500, []),
    "500 error is null": _error(500, {"error": None}),
    "500 error is text": _error(500, {"error": "busy"}),
    "500 error is a list": _error(500, {"error": ["busy"]}),
    "500 message is a number": _error(500, {"error": {"message": 5, "type": 7}}),
    "500 a megabyte of words": _error(500, _typed("api_error", "x" * 1_000_000)),
    "500 deep": _error(500, DEEP.encode()),
    "400 deep": _error(400, DEEP.encode()),
    "500 not UTF-8": _error(500, b"\xff\xfe\xfd"),
    **{
        f"429 retry-after {text}": _error(429, None, retry_after=text)
        for text in ("0", "nan", "inf", "-inf", "-5", "1e999", "3600", "soon", "9" * 400, "1_0")
    },
    "429 past date": _error(429, None, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 far date": _error(429, None, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
    "429 retry-after-ms nan": _error(429, None, retry_after_ms="nan"),
    "529 retry-after 7200": _error(529, None, retry_after="7200"),
    "200 HTML": lambda line: (line.head(200, "text/html"), line.raw(b"<html>login here</html>"))[0],
    "200 JSON error": _error(200, _typed("api_error")),
    "200 JSON null": _error(200, b"null"),
    "200 wrong kind": lambda line: (line.head(200, "application/octet-stream"), line.raw(b"\x00" * 5000))[0],
}
SSE: dict[str, Act] = {
    "comments for ever": _pings_after(0, b": ping\n\n"),
    "pings for ever": _pings_after(0, b'event: ping\ndata: {"type": "ping"}\n\n'),
    "comments after the start": _pings_after(2, b": ping\n\n"),
    "pings after the start": _pings_after(2, b'event: ping\ndata: {"type": "ping"}\n\n'),
    "line feeds for ever": _pings_after(1, b"\n"),
    "half a line for ever": _pings_after(1, b"d"),
    "silent after the start": _silent_after(2),
    "a byte a time": _slowly,
    "text without end": _endless_text,
    "one line without end": _pings_after(1, b"data: " + b"x" * 1_000_000),
    "cut after 1": _cut(1),
    "cut after 2": _cut(2),
    "cut after 3": _cut(3),
    "cut before the last": lambda line: _cut(len(line.wire.good()) - 1)(line),
    "CRLF": _respelled(lambda content: content.replace(b"\n", b"\r\n")),
    "no space after the colon": _respelled(lambda content: content.replace(b"data: ", b"data:")),
    "byte-order mark": _respelled(lambda content: b"\xef\xbb\xbf" + content, told=False),
    "not UTF-8": _between("\udcff" if False else "data: \ud800\n\n"),
    "data is null": _between("data: null\n\n"),
    "data is a list": _between("data: []\n\n"),
    "data is a number": _between("data: 5\n\n"),
    "data is text": _between('data: "words"\n\n'),
    "data is an empty object": _between("data: {}\n\n"),
    "data is empty": _between("data:\n\n"),
    "data is NaN": _between("data: NaN\n\n"),
    "data is broken": _between('data: {"type": \n\n'),
    "data is deep": _between(f"data: {DEEP}\n\n"),
    "type is a number": _between('data: {"type": 5}\n\n'),
    "type is unknown": _between('event: novelty\ndata: {"type": "novelty"}\n\n'),
    "an event without data": _between("event: message_stop\n\n"),
    "retry and id fields": _between("retry: 10\nid: 7\n\n"),
    "error overloaded": _between(f"event: error\ndata: {json.dumps(_typed('overloaded_error'))}\n\n"),
    "error rate limit": _between(f"event: error\ndata: {json.dumps(_typed('rate_limit_error'))}\n\n"),
    "error without a body": _between('event: error\ndata: {"type": "error"}\n\n'),
    "error is null": _between('event: error\ndata: {"type": "error", "error": null}\n\n'),
    "everything twice": _respelled(lambda content: content + content, told=False),
    "words after the end": _between(""),
}
USAGE: dict[str, Act] = {
    "usage null": _usage("null"),
    "usage empty": _usage({}),
    "usage a list": _usage([1, 2]),
    "usage a number": _usage(7),
    "usage text": _usage("many"),
    "input negative": _usage(input=-1000, cached=0),
    "output negative": _usage(output=-1000),
    "cached negative": _usage(cached=-5),
    "input a float": _usage(input=100.0, told={}),
    "input half a token": _usage(input=100.5),
    "input text": _usage(input="100"),
    "input true": _usage(input=True, cached=0),
    "input null": _usage(input=None),
    "output null": _usage(output=None),
    "input absurd": _usage(input=10**30),
    "output absurd": _usage(output=10**30),
    "input infinite": _usage(input=float("inf")),
    "output NaN": _usage(output=float("nan")),
    "more cached than there is": _usage(cached=10**6),
    "all zero": _usage(input=0, cached=0, output=0, told={"input": 0, "cached": 0, "output": 0}),
    "only output": _usage({"output_tokens": 30, "completion_tokens": 30}),
    "details null": _everywhere("prompt_tokens_details", None),
    "details a number": _everywhere("input_tokens_details", 5),
}
CALLS: dict[str, Act] = {
    **{
        f"arguments {name}": _calls(("edit_file", text), ("submit", SUBMIT))
        for name, text in {
            "empty": "",
            "null": "null",
            "a list": "[]",
            "a number": "1",
            "broken": '{"path": "tr',
            "NaN": '{"path": NaN}',
            "deep": f'{{"path": {DEEP}}}',
            "half a character": '{"path": "\\ud800", "old": "\\udfff", "new": "x"}',
            "NUL": '{"path": "\\u0000", "old": "a", "new": "b"}',
            "double keys": '{"path": "train.py", "path": 5, "old": "a", "new": "b"}',
            "a list for text": '{"path": ["train.py"], "old": "a", "new": "b"}',
            "outside": '{"path": "../../etc/passwd", "old": "a", "new": "b"}',
            "five megabytes": json.dumps({**EDIT, "new": "x" * 5_000_000}),
            "half a character in code": json.dumps({**EDIT, "new": "\ud800"}),
        }.items()
    },
    **{
        f"seconds {text[:6]}": _calls(
            ("smoke_test", f'{{"seconds": {text}}}'), ("edit_file", EDIT), ("submit", SUBMIT)
        )
        for text in ("1e999", "-1e999", "NaN", "-5", "true", '"5"', HUGE_NUMBER, "null", "[5]")
    },
    **{
        f"line {text[:6]}": _calls(
            ("read_file", f'{{"path": "train.py", "first_line": {text}, "last_line": {text}}}'),
            ("edit_file", EDIT),
            ("submit", SUBMIT),
        )
        for text in ("1e999", "NaN", "-9", HUGE_NUMBER, "1.5", "1e300")
    },
    **{
        f"proposal {text[:6]}": _calls(
            ("show_proposal", f'{{"number": {text}}}'), ("edit_file", EDIT), ("submit", SUBMIT)
        )
        for text in ("1e999", "NaN", HUGE_NUMBER)
    },
    "unknown tool": _calls(("rm", {}), ("edit_file", EDIT), ("submit", SUBMIT)),
    "tool without a name": _calls((None, EDIT), ("submit", SUBMIT)),
    "name a number": _calls((5, EDIT), ("submit", SUBMIT)),
    "name of ten thousand characters": _calls(("x" * 10_000, EDIT), ("submit", SUBMIT)),
    "private method for a name": _calls(("__init__", {}), ("edit_file", EDIT), ("submit", SUBMIT)),
    "a thousand calls": _calls(*[("read_file", {"path": "train.py"})] * 1000),
    "submitted twice": _calls(("edit_file", EDIT), ("submit", SUBMIT), ("submit", SUBMIT)),
    "nothing said": _calls(),
    "text null": _calls(("edit_file", EDIT), ("submit", SUBMIT), text=None),
    "text a number": _calls(("edit_file", EDIT), ("submit", SUBMIT), text=5),
    "text of half a character": _calls(("edit_file", EDIT), text="\ud800"),
    "stop unknown": _calls(("edit_file", EDIT), ("submit", SUBMIT), stop="novelty"),
    "index out of range": _everywhere("index", 99),
    "index negative": _everywhere("index", -1),
    "index text": _everywhere("index", "0"),
    "index null": _everywhere("index", None),
    "id null": _everywhere("id", None),
    "id a number": _everywhere("id", 5),
    "same id": _everywhere("call_id", "same"),
    "delta null": _everywhere("delta", None),
    "delta text": _everywhere("delta", "words"),
    "choices null": _everywhere("choices", None),
    "choices a number": _everywhere("choices", 3),
    "content null": _everywhere("content", None),
    "block null": _everywhere("content_block", None),
    "message null": _everywhere("message", None),
    "item null": _everywhere("item", None),
    "response null": _everywhere("response", None),
    "output null": _everywhere("output", None),
    "arguments null": _everywhere("arguments", None),
    "type null": _everywhere("type", None),
    "tool calls null": _everywhere("tool_calls", None),
    "function null": _everywhere("function", None),
    "partial JSON null": _everywhere("partial_json", None),
    "stop null": _everywhere("finish_reason", None),
}
MODES: dict[str, Act] = {
    f"{group}: {name}": act
    for group, acts in {"tcp": TCP, "status": STATUS, "sse": SSE, "usage": USAGE, "calls": CALLS}.items()
    for name, act in acts.items()
}
