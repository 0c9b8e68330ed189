"""The referee's end of a command-line agent's only connection: HTTP on sockets that the sandbox hands over."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

_MOST_BODY_BYTES = 64 << 20
_MOST_CONNECTIONS = 64


class BodyChunks(Protocol):
    """A body that comes piece by piece. `close` is called once, whatever happened before."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """content: the whole body, or its pieces (then sent chunked)."""

    status: int
    headers: Mapping[str, str]
    content: bytes | BodyChunks


Handle = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Method, path, headers (lower-case names), body -> answer. Raises nothing."""


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(value).encode())


class Broker:
    """Serves until `close`. `inside`: the descriptor for the sandbox, to be closed by us once it has started."""

    def __init__(self, handle: Handle) -> None:
        self._control, self.inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._handle = handle
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, name="broker", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self.inside.close()
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed:
            try:
                word, descriptors, _, _ = socket.recv_fds(self._control, 16, 1, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                break
            if not word and not descriptors:
                break
            for descriptor in descriptors:
                self._take(descriptor)
        self._control.close()

    def _take(self, descriptor: int) -> None:
        """Only stream sockets, and not too many of them: the other end is not trusted."""
        connection = socket.socket(fileno=descriptor)
        with self._lock:
            wanted = (
                len(self._connections) < _MOST_CONNECTIONS
                and connection.family == socket.AF_UNIX
                and connection.type == socket.SOCK_STREAM
                and not self._closed
            )
            if wanted:
                self._connections.add(connection)
        if wanted:
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        else:
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        handle = self._handle

        class Handler(_Handler):
            answer = staticmethod(handle)

        try:
            with contextlib.suppress(Exception):  # a broken connection is its sandbox's own business
                Handler(connection, ("sandbox", 0), None)  # type: ignore[arg-type]  # serves without a server
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[..., Answer]

    def log_message(self, *_: object) -> None:
        """Nothing of a conversation goes to our terminal."""

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._send(json_answer({"error": {"message": "the body is too large"}}, 413))
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        headers = {name.lower(): text for name, text in self.headers.items()}
        try:
            answer = self.answer(self.command, self.path.partition("?")[0], headers, body)
        except Exception as error:  # noqa: BLE001  # neither end is trusted not to break what is between them
            answer = json_answer({"error": {"type": "api_error", "message": type(error).__name__}}, 500)
        self._send(answer)

    def _body(self) -> bytes | None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            return self._chunked_body()
        length = int(self.headers.get("content-length") or 0)
        return self.rfile.read(length) if 0 <= length <= _MOST_BODY_BYTES else None

    def _chunked_body(self) -> bytes | None:
        parts: list[bytes] = []
        while size := int(self.rfile.readline(64).split(b";")[0], 16):
            if size + sum(map(len, parts)) > _MOST_BODY_BYTES:
                return None
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)
        while self.rfile.readline(4096).strip():
            continue
        return b"".join(parts)

    def _send(self, answer: Answer) -> None:
        content = answer.content
        if isinstance(content, bytes):
            self._send_head(answer, f"content-length: {len(content)}")
            if self.command != "HEAD":
                self.wfile.write(content)
            return
        try:
            self._send_head(answer, "transfer-encoding: chunked")
            for piece in content:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        finally:
            content.close()

    def _send_head(self, answer: Answer, length: str) -> None:
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.send_header(*length.split(": "))
        self.end_headers()
