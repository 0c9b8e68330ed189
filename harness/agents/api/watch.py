"""A watchdog outside the stream: whatever a provider trickles, a request ends within its limits.

The request is made in a thread of its own. The caller waits for it no longer than the deadline, the limit of silence
(pings and comments are silence) and the limit of bytes allow; then the connection is shut down under it.
"""

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from harness.agents import keys
from harness.agents.usage import UsageReader

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
MOST_REPLY_BYTES = 32 << 20
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 1.0  # for a thread whose connection was shut down; then it is left behind
_ENDED = {
    "timeout": "the reply took too long",
    "silence": "the provider fell silent",
    "too_large": "the reply is too large",
    "closed": "the session ends",
}


def most_bytes(output_tokens: int) -> int:
    """Of a reply that may have so many tokens: each can come in an event of its own."""
    return min(MOST_REPLY_BYTES, (1 << 20) + 600 * output_tokens)


class Ended(Exception):
    """The watchdog ended the request. kind: a key of _ENDED."""

    def __init__(self, kind: str) -> None:
        super().__init__(_ENDED[kind])
        self.kind = kind


class Watch:
    """One request's. seconds: for the whole of it; silence_seconds: between two words of the provider.

    heard: called when something was said, from the request's thread, with the reader.
    """

    def __init__(
        self,
        seconds: float,
        silence_seconds: float,
        most_bytes: int = MOST_REPLY_BYTES,
        heard: Callable[[UsageReader], None] | None = None,
    ) -> None:
        self.reader = UsageReader(streamed=True)
        self.served = False  # an answer that is no error: only such a one costs anything
        self._deadline = time.monotonic() + seconds
        self._silence, self._most_bytes, self._heard = silence_seconds, most_bytes, heard
        self._last_word = time.monotonic()
        self._at_work_since = 0.0  # on what the provider has said: our own slowness is not its silence
        self._sockets: list[socket.socket] = []
        self._ended = ""
        self._done = threading.Event()

    def run(self, send: Callable[[], T]) -> T:
        """What `send` returns or raises; Ended when the watchdog was faster."""
        result: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            _current.watch = self
            try:
                result.append(send())
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                errors.append(error)
            self._done.set()

        threading.Thread(target=work, name="request", daemon=True).start()
        self._wait()
        if self._ended:
            raise Ended(self._ended)
        if errors:
            raise errors[0]
        return result[0]

    def follow(self) -> None:
        """For a request that the calling thread makes by itself: the watchdog looks on until `finish`."""
        _current.watch = self
        threading.Thread(target=self._wait, name="watchdog", daemon=True).start()

    def finish(self) -> None:
        self._done.set()

    @property
    def ended(self) -> str:
        """Why the watchdog ended the request, "" if it did not."""
        return self._ended

    def end(self, kind: str) -> None:
        """Shuts the connection down, from any thread."""
        if not self._done.is_set():
            self._ended = self._ended or kind
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _wait(self) -> None:
        while not self._done.wait(self._next_look()):
            now = time.monotonic()
            if now >= self._deadline:
                self.end("timeout")
            elif not self._at_work_since and now >= self._last_word + self._silence:
                self.end("silence")
            if self._ended:
                self._done.wait(_GRACE_SECONDS)
                return

    def _next_look(self) -> float:
        silent = math.inf if self._at_work_since else self._last_word + self._silence
        left = min(self._deadline, silent) - time.monotonic()
        return min(max(left, 0.0), _LOOK_SECONDS) + 0.001

    def connected(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self._ended:
            self.end(self._ended)

    def took(self, piece: bytes) -> None:
        """Bytes of the body have come. Raises Ended when they are too many."""
        words = self.reader.words
        self.reader.feed(piece)
        if self.reader.words > words or not self.reader.streamed:
            self._last_word = time.monotonic()
            if self._heard is not None:
                self._heard(self.reader)
        if self.reader.received_bytes > self._most_bytes:
            self._ended = "too_large"
            raise Ended("too_large")
        self._at_work_since = time.monotonic()

    def wants_more(self) -> None:
        """What came has been read; from now on the provider is waited for again."""
        self._last_word += time.monotonic() - self._at_work_since
        self._at_work_since = 0.0


_current = threading.local()


def watched(client_class: Callable[..., "httpx2.Client"], **settings: Any) -> "httpx2.Client":
    """A client whose requests the Watch of the calling thread sees. No connection is used twice, no redirect followed:
    what is shut down is never another request's, and the key goes to no other address."""
    import httpx2

    class Tapped(httpx2.SyncByteStream):
        def __init__(self, stream: Any, watch: Watch) -> None:
            self._stream, self._watch = stream, watch

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._stream:
                self._watch.took(piece)
                yield piece
                self._watch.wants_more()
            self._watch.reader.end()

        def close(self) -> None:
            self._stream.close()

    def before(request: httpx2.Request) -> None:
        keys.remember_sent(request.headers)
        watch: Watch | None = getattr(_current, "watch", None)
        if watch is not None:
            request.headers["accept-encoding"] = "identity"
            request.extensions = {**request.extensions, "trace": _trace(watch)}

    def after(response: httpx2.Response) -> None:
        watch: Watch | None = getattr(_current, "watch", None)
        if watch is not None:
            watch.served = response.status_code < 400
            watch.reader.streamed = "event-stream" in response.headers.get("content-type", "")
            response.stream = Tapped(response.stream, watch)

    return client_class(
        event_hooks={"request": [before], "response": [after]},
        limits=httpx2.Limits(max_keepalive_connections=0),
        follow_redirects=False,
        **settings,
    )


def _trace(watch: Watch) -> Callable[[str, dict[str, Any]], None]:
    def trace(name: str, facts: dict[str, Any]) -> None:
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection = facts["return_value"].get_extra_info("socket")
            if isinstance(connection, socket.socket):
                watch.connected(connection)

    return trace
