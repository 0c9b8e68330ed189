"""More ways of misbehaving: what is odd, but allowed, and what only a hostile provider does."""

import gzip
import json
import re
import time
import zlib

from fault_acts import (
    as_json,
    before_reading,
    between,
    changed_events,
    chunked,
    error_forever,
    error_reply,
    everywhere,
    good_under,
    gzip_bomb,
    headed,
    in_chunks,
    in_order,
    in_pieces,
    never_reads,
    packed,
    pings_after,
    put,
    put_everywhere,
    raw_head,
    reset_after,
    respelled,
    then_reset,
    typed,
    whole_stream,
    with_blocks,
    with_calls,
    with_usage,
    with_usages,
)
from faulty_provider import EDIT, SUBMIT, Act

NOTHING_LEFT = {
    "type": "error",
    "code": "insufficient_quota",
    "error": {"code": "insufficient_quota", "message": "no"},
}
NO_WORDS = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}
STREAM = b"content-type: text/event-stream\r\n"
MORE_TCP: dict[str, Act] = {
    "closed before the request": before_reading(lambda line: line.connection.close()),
    "reset before the request": before_reading(lambda line: line.reset()),
    "never reads": before_reading(never_reads),
    "answers before the request": before_reading(
        raw_head(b"HTTP/1.1 200 OK\r\n" + STREAM + b"\r\n", told=False)
    ),
    "reset in the status": then_reset(b"HTTP/1."),
    "reset in the headers": then_reset(b"HTTP/1.1 200 OK\r\ncontent-ty"),
    "reset after the headers": then_reset(b"HTTP/1.1 200 OK\r\n" + STREAM + b"\r\n"),
    "reset after 1": reset_after(1),
    "reset after 2": reset_after(2),
    "reset before the last": lambda line: reset_after(len(line.wire.good()) - 1)(line),
    "reset in a chunk": then_reset(
        b"HTTP/1.1 200 OK\r\n" + STREAM + b"transfer-encoding: chunked\r\n\r\nff\r\nda"
    ),
    "early hints": raw_head(b"HTTP/1.1 103 X\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + STREAM + b"\r\n"),
    "continue first": raw_head(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + STREAM + b"\r\n"),
    "switches protocols": raw_head(
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", told=False
    ),
    "version 1.0": raw_head(b"HTTP/1.0 200 OK\r\n" + STREAM + b"\r\n"),
    "version 0.9": lambda line: line.raw(whole_stream(line)),
    "version 2 though not asked for": lambda line: line.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "line feeds alone in the headers": raw_head(
        b"HTTP/1.1 200 OK\nconnection: close\n" + STREAM.replace(b"\r", b"") + b"\n"
    ),
    "empty lines before the status": raw_head(b"\r\n\r\nHTTP/1.1 200 OK\r\n" + STREAM + b"\r\n", told=False),
    "folded header": raw_head(b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n" + STREAM + b"\r\n"),
    "header of strange bytes": raw_head(
        b"HTTP/1.1 200 OK\r\nx: \xff\xfe\r\nretry-after: \xff\r\n" + STREAM + b"\r\n"
    ),
    "no type": raw_head(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
    "a thousand headers": raw_head(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + STREAM + b"\r\n"),
    "two replies": lambda line: (good_under(line), line.raw(b"HTTP/1.1 200 OK\r\n\r\n"))[0],
    "trailers": in_chunks(100, b"0\r\nx-cost: 7\r\ncontent-type: text/plain\r\n\r\n"),
    "endless trailers": lambda line: (in_chunks(100, b"0\r\n")(line), line.forever(b"x: y\r\n"))[0],
    "chunks of some bytes": in_chunks(7),
    "chunks with extensions": in_chunks(50, extension=b";a=b"),
    "a chunk of absurd size": chunked(b"ffffffffffffffffff\r\nx"),
    "length and chunks": lambda line: (
        line.head(transfer_encoding="chunked", content_length="3"),
        line.raw(b"3\r\nabc\r\n0\r\n\r\n"),
    )[0],
    "negative length": headed(b"data: {}\n\n", content_length="-1"),
    "deflate": packed(zlib.compress, "deflate"),
    "gzip in two parts": packed(
        lambda content: gzip.compress(content[:300]) + gzip.compress(content[300:]), "gzip"
    ),
    "gzip with more behind": packed(lambda content: gzip.compress(content) + b"\x00 more", "gzip"),
    "gzip cut": packed(lambda content: gzip.compress(content)[:-30], "gzip", told=False),
    "gzip in name only": packed(lambda content: content, "gzip", told=False),
    "gzip of gzip": packed(lambda content: gzip.compress(gzip.compress(content)), "gzip, gzip", told=False),
    "gzip bomb": gzip_bomb,
    "type in capitals": lambda line: good_under(line, kind="TEXT/EVENT-STREAM; CHARSET=UTF-8"),
    "type text": lambda line: good_under(line, kind="text/plain"),
    "type HTML": lambda line: good_under(line, kind="text/html; charset=rot13"),
    "type JSON": lambda line: good_under(line, kind="application/json"),
    "type garbage": lambda line: good_under(line, kind=";;=/"),
    "charset unknown": lambda line: good_under(line, kind="text/event-stream; charset=hex"),
}
MORE_STATUS: dict[str, Act] = {
    **{
        f"{status} with a good reply": lambda line, s=status: good_under(line, status=s)
        for status in (201, 202, 203, 206, 226)
    },
    **{
        f"{status}": error_reply(status)
        for status in (
            205,
            300,
            304,
            402,
            405,
            406,
            407,
            410,
            411,
            421,
            423,
            424,
            425,
            426,
            428,
            431,
            451,
            498,
            501,
            505,
            507,
            511,
            520,
            524,
            530,
            599,
        )
    },
    **{
        f"{status} to itself": error_reply(status, b"", location="/v1/messages")
        for status in (301, 303, 307, 308)
    },
    "307 nowhere": error_reply(307, b""),
    "308 to a file": error_reply(308, b"", location="file:///etc/passwd"),
    "302 strange": error_reply(302, b"", location="http://[::1"),
    "600": error_reply(600),
    "401 in a strange charset": lambda line: (
        line.head(401, "text/html; charset=rot13", content_length="5"),
        line.raw(b"hello"),
    )[0],
    "500 in a strange charset": lambda line: (
        line.head(500, "text/html; charset=hex", content_length="5"),
        line.raw(b"hello"),
    )[0],
    "500 without end": error_forever(500, b" " * 4096, 0.0),
    "500 a byte a time": error_forever(500, b" ", 0.05),
    "429 without end": error_forever(429, b'{"error": ', 0.0),
    "500 gzip bomb": lambda line: (
        line.head(500, "application/json", content_encoding="gzip"),
        line.raw(gzip.compress(bytes(64 << 20))),
    )[0],
    "500 false gzip": lambda line: (
        line.head(500, "application/json", content_encoding="gzip"),
        line.raw(b"hello"),
    )[0],
    "500 shorter than said": lambda line: (
        line.head(500, "application/json", content_length="500"),
        line.raw(b"hello"),
    )[0],
    "500 message deep inside": error_reply(500, {"error": {"error": {"error": {"message": ["x"]}}}}),
    "500 type is a list": error_reply(500, {"error": {"type": ["a"], "code": {"b": 1}, "message": None}}),
    "400 context too long": error_reply(
        400, {"error": {"code": "context_length_exceeded", "message": "too long"}}
    ),
    "403 HTML": error_reply(403, b"<html>blocked</html>"),
    "429 as text": error_reply(429, b"slow down"),
    **{
        f"429 retry-after {name}": error_reply(429, None, retry_after=text)
        for name, text in {
            "empty": "",
            "plus": "+1",
            "hexadecimal": "0x1",
            "two": "1, 2",
            "fraction": "0.25",
            "exponent": "1e-2",
            "minus nothing": "-0",
            "with a unit": "1s",
            "date without zone": "Wed, 21 Oct 2015 07:28:00",
            "date torn": "Wed, 21",
            "date of year 0": "Wed, 21 Oct 0000 07:28:00 GMT",
            "comma": ",",
            "date of year 99999": "Wed, 21 Oct 99999 07:28:00 GMT",
            "ISO date": "2015-10-21T07:28:00Z",
            "zone absurd": "Wed, 21 Oct 2015 07:28:00 +999999999999",
            "infinity": "Infinity",
        }.items()
    },
    "429 retry-after-ms negative": error_reply(429, None, retry_after_ms="-5"),
    "429 retry-after-ms huge": error_reply(429, None, retry_after_ms="1e308"),
    "429 should not be asked again": error_reply(429, None, x_should_retry="false"),
    "400 should be asked again": error_reply(400, None, x_should_retry="true"),
    "529 date next year": error_reply(529, None, retry_after="Wed, 21 Oct 2037 07:28:00 GMT"),
    "200 empty": headed(b"", content_length="0"),
    "200 a list": error_reply(200, [1]),
    "200 error as text": error_reply(200, {"error": "busy"}),
    "200 usage in an error": error_reply(200, {"error": {"message": "no"}, "usage": "none"}),
    "200 as JSON": as_json("application/json"),
    "200 as JSON that says it is a stream": as_json("text/event-stream"),
}
MORE_SSE: dict[str, Act] = {
    "CR": respelled(lambda content: content.replace(b"\n", b"\r")),
    "line ends mixed": respelled(
        lambda content: content.replace(b"\n\n", b"\r\n\n").replace(b"}\r", b"}\r\r", 1)
    ),
    "a byte a piece": in_pieces(1),
    "seven bytes a piece": in_pieces(7),
    "two data lines an event": respelled(lambda content: content.replace(b', "', b',\ndata: "')),
    "more spaces": respelled(lambda content: content.replace(b"data: ", b"data:   ")),
    "no names": respelled(lambda content: re.sub(rb"event: .*\n", b"", content)),
    "wrong names": respelled(lambda content: re.sub(rb"event: .*\n", b"event: novelty\n", content)),
    "names in capitals": respelled(
        lambda content: re.sub(rb"event: (.*)\n", lambda m: b"event: " + m[1].upper() + b"\n", content)
    ),
    "all are pings by name": respelled(lambda content: re.sub(rb"event: .*\n", b"event: ping\n", content)),
    "name after the data": respelled(
        lambda content: re.sub(rb"(event: .*\n)(data: .*\n)", rb"\2\1", content)
    ),
    "comments between": respelled(
        lambda content: content.replace(b"\n\n", b"\n\n: " + b"x" * 5000 + b"\n\n")
    ),
    "comments within": respelled(lambda content: content.replace(b"\ndata", b"\n: c\ndata")),
    "fields unknown": respelled(
        lambda content: content.replace(b"\ndata", b"\nx: y\nretry: soon\nid: \x00\ndata")
    ),
    "no empty line at the end": respelled(lambda content: content.removesuffix(b"\n")),
    "no line end at the end": respelled(lambda content: content.rstrip(b"\n")),
    "done at once": lambda line: (line.head(), line.raw(b"data: [DONE]\n\n" + whole_stream(line)))[0],
    "done twice": respelled(lambda content: content + b"data: [DONE]\n\n"),
    "done never": respelled(lambda content: content.replace(b"data: [DONE]\n\n", b"")),
    "NUL between": respelled(lambda content: content.replace(b"\n\n", b"\n\n\x00\n")),
    "error of a login": between(f"event: error\ndata: {json.dumps(typed('authentication_error'))}\n\n"),
    "error nothing left": between(f"event: error\ndata: {json.dumps(NOTHING_LEFT)}\n\n"),
    "error is text": between("event: error\ndata: busy\n\n"),
    "error after the end": lambda line: (
        good_under(line),
        line.raw(b'event: error\ndata: {"type": "error", "error": {"type": "x"}}\n\n'),
    )[0],
    "start twice": changed_events(lambda events: [events[0], *events]),
    "start never": changed_events(lambda events: events[1:], told=False),
    "start at the end": changed_events(lambda events: [*events[1:], events[0]]),
    "end twice": changed_events(lambda events: [*events, events[-1]]),
    "end never": changed_events(lambda events: events[:-1], told=False),
    "silent after the last": lambda line: (good_under(line), time.sleep(30))[0],
    "novelties for ever": pings_after(1, b'event: novelty\ndata: {"type": "novelty"}\n\n'),
    "empty words for ever": pings_after(
        1, f"event: content_block_delta\ndata: {json.dumps(NO_WORDS)}\n\n".encode()
    ),
}
MORE_USAGE: dict[str, Act] = {
    "input a power": with_usage(input=1e2, told={}),
    "input minus nothing": with_usage(input=-0.0, cached=0, told={"input": 0, "cached": 0}),
    "input nearly whole": with_usage(input=100.0000001),
    "input a list": with_usage(input=[100]),
    "input an object": with_usage(input={"tokens": 100}),
    "output text": with_usage(output="30"),
    "output a float": with_usage(output=30.0, told={}),
    "output false": with_usage(output=False),
    "output minus infinite": with_usage(output=float("-inf")),
    "output ten million and one": with_usage(output=10_000_001),
    "cached NaN": with_usage(cached=float("nan")),
    "cached text": with_usage(cached="20"),
    "input of 400 digits": with_usage(input=int("1" + "0" * 400)),
    "nothing was cached": with_usage(cached=0, told={"cached": 0}),
    "several counts": with_usages(
        {"output_tokens": 5, "completion_tokens": 5}, {"output_tokens": 9, "completion_tokens": 9}, {}
    ),
    "fields unknown": changed_events(
        lambda events: [put(event, "usage", "novelty", {"x": [1]}) for event in events]
    ),
    "usage deep": with_usage({"input_tokens": {"input_tokens": {"input_tokens": 1}}}),
}
MORE_CALLS: dict[str, Act] = {
    **{
        f"arguments {name}": with_calls(("edit_file", text), ("submit", SUBMIT))
        for name, text in {
            "true": "true",
            "text": '"words"',
            "twice encoded": json.dumps(json.dumps(EDIT)),
            "two objects": '{"a": 1}{"b": 2}',
            "Infinity": '{"path": Infinity}',
            "of 5,000 digits": '{"path": ' + "9" * 5000 + "}",
            "white space": "   ",
            "an object for text": '{"path": {"a": "b"}, "old": "a", "new": "b"}',
            "a name too many": json.dumps({**EDIT, "x": 1}),
            "a hundred thousand names": json.dumps({str(n): n for n in range(100_000)}),
            "null for text": '{"path": null, "old": null, "new": null}',
            "an empty name": '{"": 1}',
            "control characters": json.dumps({**EDIT, "new": "\x00\x1b[2J\r"}),
            "old empty": json.dumps({**EDIT, "old": ""}),
            "comments": '{"path": "train.py", /* x */ "old": "a"}',
            "the key": json.dumps({**EDIT, "new": "BATCH = 16  # sk-canary-4711-sk-canary"}),
        }.items()
    },
    "submitted first": with_calls(("submit", SUBMIT), ("edit_file", EDIT)),
    "submitted with numbers": with_calls(
        ("edit_file", EDIT), ("submit", {"rationale": 5, "hypothesis": [1]})
    ),
    "submitted with the key": with_calls(
        ("edit_file", EDIT), ("submit", {"rationale": "sk-canary-4711-sk-canary", "hypothesis": "x"})
    ),
    "the name empty": with_calls(("", EDIT), ("submit", SUBMIT)),
    "the name with spaces": with_calls(("edit file\n", EDIT), ("edit_file", EDIT), ("submit", SUBMIT)),
    "the name of half a character": with_calls(("\ud800", EDIT), ("submit", SUBMIT)),
    "text a list": with_calls(("edit_file", EDIT), ("submit", SUBMIT), text=["a"]),
    "text the key": with_calls(("edit_file", EDIT), text="sk-canary-4711-sk-canary"),
    "text a megabyte": with_calls(("edit_file", EDIT), ("submit", SUBMIT), text="x" * 1_000_000),
    **{
        f"stop {stop}": with_calls(("edit_file", EDIT), ("submit", SUBMIT), stop=stop)
        for stop in (
            "pause_turn",
            "refusal",
            "max_tokens",
            "end_turn",
            "content_filter",
            "length",
            "stop_sequence",
            "",
        )
    },
    "stop refusal without a call": with_calls(stop="refusal"),
    "stop pause_turn without a call": with_calls(stop="pause_turn"),
    **{
        f"stop is {name}": with_calls(("edit_file", EDIT), ("submit", SUBMIT), stop=stop)
        for name, stop in {"a number": 5, "a list": ["x"], "true": True, "an object": {"a": 1}}.items()
    },
    **{
        f"model {name}": changed_events(
            lambda events, m=model: [put_everywhere(event, "model", m) for event in events]
        )
        for name, model in {"another": "other-9", "null": None, "a number": 7, "a list": []}.items()
    },
    "role another": changed_events(
        lambda events: [put_everywhere(event, "role", "user") for event in events]
    ),
    "thinking empty": with_blocks({"type": "thinking", "thinking": "", "signature": ""}),
    "thinking null": with_blocks({"type": "thinking", "thinking": None, "signature": None}),
    "thinking a number": with_blocks({"type": "thinking", "thinking": 5, "signature": 7}),
    "thinking without a signature": with_blocks({"type": "thinking", "thinking": "hm"}),
    "thinking kept secret": with_blocks({"type": "redacted_thinking", "data": "x" * 1000}),
    "reasoning odd": with_blocks(
        {"type": "reasoning", "id": "rs", "summary": None},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": None}]},
    ),
    "a block of an unknown type": with_blocks({"type": "novelty", "x": 1}),
    "a block without a type": with_blocks({}),
    "a block of the provider's tools": with_blocks(
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}
    ),
    "blocks in another order": in_order(lambda events: events[::-1]),
    "blocks twice": in_order(lambda events: [*events, *events]),
    "blocks never begun": in_order(
        lambda events: [event for event in events if event.get("type") != "content_block_start"]
    ),
    "blocks never ended": in_order(
        lambda events: [event for event in events if event.get("type") != "content_block_stop"]
    ),
    "a delta of another kind": in_order(
        lambda events: [
            put_everywhere(event, "type", "citations_delta")
            if "delta" in event and "choices" not in event
            else event
            for event in events
        ]
    ),
    "index a float": everywhere("index", 0.5),
    "index huge": everywhere("index", 10**30),
    "one index for all": everywhere("index", 0),
    "id a list": everywhere("id", []),
    "call id null": everywhere("call_id", None),
    "name null": everywhere("name", None),
    "name a list": everywhere("name", []),
    "status unknown": everywhere("status", "novelty"),
    "output an object": everywhere("output", {}),
    "usage nowhere": everywhere("usage", None),
}
