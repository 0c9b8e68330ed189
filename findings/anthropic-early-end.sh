#!/usr/bin/env bash
# Package: anthropic 2.14.0
# Guess: messages.stream raises where the stream ends, in good order, before message_stop.
# What happens: nothing raises: get_final_message() gives the half answer with stop_reason None.
# Why it matters: a proxy that cuts a stream makes half an answer (half a diff) look like a whole one. Check that
#   stop_reason is not None.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile anthropic==2.14.0
venv/bin/python - <<'END'
import json
import sys

import http.server
import threading


def serve(handler):
    """The address of a server on the loopback."""
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Half(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        self.event("message_start", message=message)
        self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "half an ans"})

    def event(self, kind, **content):
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode())


import anthropic

client = anthropic.Anthropic(api_key="none", base_url=serve(Half), max_retries=0)
print("anthropic", anthropic.__version__)
print("guess: an exception")
with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream:
    message = stream.get_final_message()
print("seen:  text", repr(message.content[0].text), "stop_reason", message.stop_reason)
if (message.content[0].text, message.stop_reason) != ("half an ans", None):
    sys.exit("changed")
END
