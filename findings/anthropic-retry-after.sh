#!/usr/bin/env bash
# Package: anthropic 2.14.0
# Guess: a Retry-After of an hour is over the SDK's limit; it falls back on its own waits of some seconds.
# What happens: it is obeyed: two retries, an hour of sleep before each, inside create(), whatever `timeout` says.
# Why it matters: a night stands still in one call, past every budget that is looked at between calls. Set
#   max_retries=0 and wait oneself. (The sleep is recorded here instead of slept.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile anthropic==2.14.0
venv/bin/python - <<'END'
import sys
import time

import http.server
import threading


def serve(handler):
    """The address of a server on the loopback."""
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Busy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(429)
        self.send_header("retry-after", "3600")
        self.end_headers()


import anthropic

client = anthropic.Anthropic(api_key="none", base_url=serve(Busy), timeout=5.0)
really, slept = time.sleep, []
time.sleep = lambda seconds: slept.append(seconds) if seconds >= 0.4 else really(seconds)
print("anthropic", anthropic.__version__)
print("guess: waits of some seconds")
try:
    client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}])
    sys.exit("changed: no error")
except anthropic.RateLimitError:
    print("seen:  slept for", slept, "seconds with timeout=5")
if slept != [3600.0, 3600.0]:
    sys.exit("changed")
END
