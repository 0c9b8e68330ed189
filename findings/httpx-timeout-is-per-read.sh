#!/usr/bin/env bash
# Package: httpx 0.28.1
# Guess: get(url, timeout=1) takes a second at most, then raises.
# What happens: the second is for each wait for bytes: an answer that drips a byte every 0.3 s for 3 s comes back
#   whole.
# Why it matters: a slow provider outlives every timeout: one call can last as long as it likes. A whole call needs a
#   clock of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile httpx==0.28.1
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


class Dripping(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "10")
        self.end_headers()
        for _ in range(10):
            self.wfile.write(b".")
            time.sleep(0.3)


import httpx

address = serve(Dripping)
print("httpx", httpx.__version__)
print("guess: ReadTimeout after 1 s")
started = time.monotonic()
answer = httpx.get(address, timeout=1.0).text
seconds = time.monotonic() - started
print(f"seen:  {len(answer)} bytes after {seconds:.1f} s")
if len(answer) != 10 or seconds < 2:
    sys.exit("changed")
END
