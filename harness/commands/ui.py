"""`harness ui [FOLDER]`: a page in the browser over all sessions and sweeps below FOLDER (default: sessions), live.

It reads ledgers and writes nothing, listens on 127.0.0.1 alone, and shows itself to whoever has the address that it
prints.

Examples:

    harness ui                          every session below ./sessions
    harness ui sessions/my-sweep        one sweep
    harness ui --port 8642 --open       at a port of your own, in your browser at once

From another machine: ssh -N -L 8642:127.0.0.1:8642 MACHINE, then the same address here.
"""

import argparse
import contextlib
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from harness.commands import parser, run
from harness.errors import UserError

_PORT = 8642


def main(argv: list[str]) -> int:
    """Serves until Ctrl-C. Raises UserError without the folder, the port or the packages."""
    options = _options(argv)
    if not options.folder.is_dir():
        raise UserError(
            f"{options.folder} is not a folder; give the folder of a session, of a sweep or of several"
        )
    try:
        from harness.ui.server import LOOPBACK, listening, serve
    except ImportError as error:
        raise UserError(f"harness ui needs the package {error.name}: pip install 'harness[ui]'") from None
    source = _socket(options.port, listening)
    token = secrets.token_urlsafe(24)
    address = f"http://{LOOPBACK}:{source.getsockname()[1]}/{token}/"
    print(f"{address}\nsessions below {options.folder}; Ctrl-C ends it", flush=True)
    if options.open:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt), source:
        serve(options.folder, token, source)
    return 0


def _socket(port: int | None, listening: Callable[[int], socket.socket]) -> socket.socket:
    """At the port that was asked for; at the usual one, or any, where none was."""
    try:
        return listening(_PORT if port is None else port)
    except (OSError, OverflowError) as error:
        if port is None:
            return listening(0)
        said = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise UserError(f"port {port} cannot be used: {said}; leave --port out to take a free one") from None


def _options(argv: list[str]) -> argparse.Namespace:
    asked = parser("ui", __doc__)
    asked.add_argument("folder", type=Path, nargs="?", default=Path("sessions"), metavar="FOLDER")
    asked.add_argument("--port", type=int, help=f"default: {_PORT}, or any free one where that is taken")
    asked.add_argument("--open", action="store_true", help="open the page in your browser")
    return asked.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run(main, "harness.ui"))
