"""What a misbehaving provider can do with a request, and makers of such acts; `fault_modes.py` has them by name."""

import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

from faulty_provider import EDIT, SUBMIT, Act, Event, Line

DEEP = "[" * 30_000 + "]" * 30_000
HUGE_NUMBER = "1" + "0" * 400


def error_reply(status: int, body: Any = None, **headers: str) -> Act:
    return lambda line: line.error(status, body, **headers)


def typed(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, "code": None}}


def says_nothing(_: Line) -> None:
    time.sleep(30)


def headed(content: bytes, **headers: str) -> Act:
    def act(line: Line) -> None:
        line.head(**headers)
        line.raw(content)

    return act


def whole_stream(line: Line) -> bytes:
    return b"".join(line.wire.sse(line.wire.good()))


def slowly(line: Line) -> None:
    """A byte at a time: it would take for ever."""
    line.head()
    for byte in whole_stream(line) * 1000:
        line.raw(bytes([byte]))
        time.sleep(0.05)


def chunked(tail: bytes) -> Act:
    def act(line: Line) -> None:
        line.head(transfer_encoding="chunked")
        content = whole_stream(line)[:200]
        line.raw(b"%x\r\n%s\r\n" % (len(content), content) + tail)

    return act


def zipped(line: Line) -> None:
    line.head(content_encoding="gzip")
    line.raw(gzip.compress(whole_stream(line)))
    line.tell()


def silent_after(events: int) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)
        time.sleep(30)

    return act


def pings_after(events: int, piece: bytes) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)
        line.forever(piece)

    return act


def endless_text(line: Line) -> None:
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


def respelled(change: Callable[[bytes], bytes], told: bool = True) -> Act:
    def act(line: Line) -> None:
        line.head()
        line.raw(change(whole_stream(line)))
        if told:
            line.tell()

    return act


def between(text: str) -> Act:
    """Something strange between good events: passed over, or the reply is asked for again."""

    def act(line: Line) -> None:
        events = line.wire.sse(line.wire.good())
        line.head()
        for part in [*events[:2], text.encode("utf-8", "surrogatepass"), *events[2:]]:
            line.raw(part)
        line.tell()

    return act


def cut_after(events: int) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)

    return act


def with_usage(value: Any = None, told: dict[str, int] | None = None, **changes: Any) -> Act:
    def act(line: Line) -> None:
        usage = value if value is not None else line.wire.usage(**changes)
        usage = None if usage == "null" else usage
        calls: list[tuple[Any, Any]] = [("edit_file", EDIT), ("submit", SUBMIT)]
        line.stream(line.wire.events(calls, "" if usage is None else usage), told=None)
        if told is not None:
            line.tell(**told)

    return act


def with_calls(*calls: tuple[Any, Any], **more: Any) -> Act:
    return lambda line: line.stream(line.wire.events(list(calls), **more))


def mutated(change: Callable[[list[Event]], Any]) -> Act:
    def act(line: Line) -> None:
        events = line.wire.good()
        before = said_costs(events)
        change(events)
        line.stream(events, told=said_costs(events) == before)

    return act


def said_costs(value: Any) -> list[str]:
    """What events say of their cost, with the fields in which it stands."""
    if isinstance(value, list):
        return [said for part in value for said in said_costs(part)]
    if not isinstance(value, dict):
        return []
    own = [json.dumps(value["usage"])] if "usage" in value else []
    return own + [f"{key}: {said}" for key, inner in value.items() for said in said_costs(inner)]


def everywhere(name: str, value: Any) -> Act:
    """One field of every event replaced, however deep it lies."""

    def replace_in(inside: Any) -> None:
        if isinstance(inside, dict):
            for key in list(inside):
                if key == name:
                    inside[key] = value
                else:
                    replace_in(inside[key])
        elif isinstance(inside, list):
            for item in inside:
                replace_in(item)

    return mutated(lambda events: [replace_in(event) for event in events])


def good_under(line: Line, **headers: Any) -> None:
    """A good reply under other headers, told."""
    line.head(**headers)
    line.raw(whole_stream(line))
    line.tell()


def raw_head(head: bytes, told: bool = True) -> Act:
    """A good reply after these bytes."""

    def act(line: Line) -> None:
        line.raw(head + whole_stream(line))
        if told:
            line.tell()

    return act


def packed(pack: Callable[[bytes], bytes], encoding: str, told: bool = True) -> Act:
    def act(line: Line) -> None:
        line.head(content_encoding=encoding)
        line.raw(pack(whole_stream(line)))
        if told:
            line.tell()

    return act


def gzip_bomb(line: Line) -> None:
    """Gigabytes of nothing in some megabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    line.head(content_encoding="gzip")
    for _ in range(4096):
        if line.provider.closed:
            return
        line.raw(packer.compress(bytes(1 << 20)))


def in_chunks(size: int, tail: bytes = b"0\r\n\r\n", extension: bytes = b"") -> Act:
    def act(line: Line) -> None:
        line.head(transfer_encoding="chunked")
        content = whole_stream(line)
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            line.raw(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
        line.raw(tail)
        line.tell()

    return act


def in_pieces(size: int) -> Act:
    """Events torn wherever it may be, characters included."""

    def act(line: Line) -> None:
        line.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.head()
        calls: list[tuple[Any, Any]] = [("edit_file", EDIT), ("submit", SUBMIT)]
        text = json.dumps({"text": "Größe ≈ 10⁻³ 🙂"}, ensure_ascii=False)
        content = b"".join(line.wire.sse(line.wire.events(calls, text=text)))
        content = content.replace(b"\\u00f6", "ö".encode()).replace(b"\\u2248", "≈".encode())
        for start in range(0, len(content), size):
            line.raw(content[start : start + size])
            if start % (40 * size) == 0:
                time.sleep(0.001)
        line.tell()

    return act


def reset_after(events: int) -> Act:
    def act(line: Line) -> None:
        line.head()
        for part in line.wire.sse(line.wire.good())[:events]:
            line.raw(part)
        time.sleep(0.1)
        line.reset()

    return act


def then_reset(head: bytes) -> Act:
    return lambda line: (line.raw(head), time.sleep(0.05), line.reset())[0]


def as_json(kind: str, told: bool = True) -> Act:
    """No stream, though one was asked for."""

    def act(line: Line) -> None:
        line.head(kind=kind)
        line.raw(json.dumps(line.wire.whole(line.wire.good())).encode())
        if told:
            line.tell()

    return act


def error_forever(status: int, piece: bytes, pause: float) -> Act:
    def act(line: Line) -> None:
        line.head(status, "application/json")
        line.forever(piece, pause)

    return act


def changed_events(change: Callable[[list[Event]], Any], told: bool = True) -> Act:
    """A good reply whose events were changed but for what they say of its cost."""

    def act(line: Line) -> None:
        events = line.wire.good()
        line.stream(change(events) or events, told)

    return act


def with_blocks(*blocks: Event) -> Act:
    """More blocks before the good ones (Messages), more items (Responses); chat completions know neither."""

    def change(events: list[Event]) -> list[Event]:
        if events[0].get("type") == "response.created":
            items = [
                {"type": "response.output_item.done", "output_index": 0, "item": block} for block in blocks
            ]
            return [events[0], *items, *events[1:]]
        if events[0].get("type") != "message_start":
            return events
        for event in events:
            if "index" in event:
                event["index"] += len(blocks)
        more: list[Event] = []
        for index, block in enumerate(blocks):
            more.append({"type": "content_block_start", "index": index, "content_block": block})
            more.append({"type": "content_block_stop", "index": index})
        return [events[0], *more, *events[1:]]

    return changed_events(change)


def in_order(order: Callable[[list[Event]], list[Event]]) -> Act:
    """Everything between the first event and those that end the reply, in another order."""

    def change(events: list[Event]) -> list[Event]:
        return [events[0], *order(events[1:-2]), *events[-2:]]

    return changed_events(change)


def with_usages(*each: dict[str, Any]) -> Act:
    """Several counts in one reply: those before the last say less."""

    def change(events: list[Event]) -> list[Event]:
        for counts in each[:-1]:
            said = json.loads(json.dumps(events[-1] if "usage" in events[-1] else events[-2]))
            for name, count in counts.items():
                for inner in (said.get("usage"), (said.get("response") or {}).get("usage")):
                    if isinstance(inner, dict) and name in inner:
                        inner[name] = count
            if said.get("type") == "message_delta":
                said["delta"] = {}
            if "response" in said:
                said["type"] = "response.in_progress"
            events.insert(1, said)
        return events

    return changed_events(change)


def never_reads(line: Line) -> None:
    time.sleep(30)


def before_reading(act: Act) -> Act:
    """Done before the request is read."""

    def acted(line: Line) -> None:
        act(line)

    acted.before_reading = True  # type: ignore[attr-defined]
    return acted


def put(event: Event, outer: str, name: str, value: Any) -> Event:
    """A field more in every object that is called `outer`."""
    for key, inside in list(event.items()):
        if isinstance(inside, dict):
            put(inside, outer, name, value)
            if key == outer:
                inside[name] = value
    return event


def put_everywhere(event: Event, name: str, value: Any) -> Event:
    """A field replaced wherever it stands, but in what is said of the cost."""
    for key in list(event):
        if key == name and key != "usage":
            event[key] = value
        elif isinstance(event[key], dict):
            put_everywhere(event[key], name, value)
    return event
