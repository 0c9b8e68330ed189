"""A watchdog outside the stream: whatever a provider trickles, a request ends within its limits.

The request is made in a thread of its own. The caller waits for it no longer than the deadline, the limit of silence
(pings and comments are silence) and the limit of bytes allow; then the connection is shut down under it.
"""

import contextlib
import math
import socket
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from harness.agents import keys
from harness.agents.usage import UsageReader

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
MOST_REPLY_BYTES = 32 << 20
_LOOK_SECONDS = 0.5
_REST_SECONDS = 2.0  # for what follows in a reply that its reader gave up: it may say what it cost
_GRACE_SECONDS = 1.0  # for a thread whose connection was shut down; then it is left behind
_MOST_PIECE_BYTES = 1 << 16
_PACKED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_GZIP_START = b"\x1f"  # of one more part; whatever else follows a whole one is no part of the reply
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
        self._given_up = False  # the reader wants no more, and only the cost is still of interest
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
            self.finish()

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
        for connection in self._sockets:
            connection.close()

    @property
    def ended(self) -> str:
        """Why the watchdog ended the request, "" if it did not."""
        return self._ended

    def end(self, kind: str) -> None:
        """Shuts the connection down, from any thread."""
        if not self._done.is_set():
            self._ended = self._ended or kind
        self._shut()

    def _shut(self) -> None:
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _wait(self) -> None:
        while not self._done.wait(self._next_look()):
            now = time.monotonic()
            if now >= self._deadline:
                self._time_over()
            elif not self._at_work_since and now >= self._last_word + self._silence:
                self.end("silence")
            if self._ended:
                self._done.wait(_GRACE_SECONDS)
                return

    def _time_over(self) -> None:
        if self._given_up:  # the reply has its fault already
            self._shut()
            if self._done.wait(_GRACE_SECONDS):
                return
        self.end("timeout")

    def rest(self, pieces: "Iterator[bytes]") -> None:
        """What comes of a reply that its reader gave up: read, not for long, to learn what it costs."""
        if self.reader.whole or self._ended or not self.served:
            return
        self._given_up = True
        self._deadline = min(self._deadline, time.monotonic() + _REST_SECONDS)
        with contextlib.suppress(Exception):
            for piece in pieces:
                self.took(piece)
                self.wants_more()
        self.reader.end()

    def _next_look(self) -> float:
        silent = math.inf if self._at_work_since else self._last_word + self._silence
        left = min(self._deadline, silent) - time.monotonic()
        return min(max(left, 0.0), _LOOK_SECONDS) + 0.001

    def connected(self, connection: socket.socket) -> None:
        """A descriptor of our own: TLS takes the client's away, and a handshake can hang, too."""
        with contextlib.suppress(OSError):
            self._sockets.append(connection.dup())
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


def unpacked(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A body as it was before it was packed, in pieces of bounded size: nothing packed was asked for, but some pack all
    the same, and a small reply can be packed from a huge one. Raises zlib.error for what cannot be read."""
    if encoding not in _PACKED:
        yield from pieces
        return
    opened = zlib.decompressobj(_PACKED[encoding])
    for piece in pieces:
        packed = piece
        while packed and not (opened.eof and packed[:1] != _GZIP_START):
            if opened.eof:
                opened = zlib.decompressobj(_PACKED[encoding])
            yield opened.decompress(packed, _MOST_PIECE_BYTES)
            packed = opened.unused_data if opened.eof else opened.unconsumed_tail
    yield opened.flush()


_current = threading.local()


def watched(client_class: Callable[..., "httpx2.Client"], **settings: Any) -> "httpx2.Client":
    """A client whose requests the Watch of the calling thread sees. No connection is used twice, no redirect followed:
    what is shut down is never another request's, and the key goes to no other address."""
    import httpx2

    # The SDKs print what they think of a reply's fields, which is neither ours nor the reader's business.
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)

    class Tapped(httpx2.SyncByteStream):
        def __init__(self, stream: Any, watch: Watch, encoding: str) -> None:
            self._stream, self._watch = stream, watch
            self._pieces = unpacked(stream, encoding)

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._pieces:
                self._watch.took(piece)
                yield piece
                self._watch.wants_more()
            self._watch.reader.end()

        def close(self) -> None:
            try:
                self._watch.rest(self._pieces)
            finally:
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
            watch.served = 200 <= response.status_code < 300
            watch.reader.streamed = "event-stream" in response.headers.get("content-type", "").lower()
            encoding = response.headers.pop("content-encoding", "").strip().lower()
            response.stream = Tapped(response.stream, watch, encoding)

    return client_class(
        event_hooks={"request": [before], "response": [after]},
        limits=httpx2.Limits(max_keepalive_connections=0),
        follow_redirects=False,
        **settings,
    )


def _trace(watch: Watch) -> Callable[[str, dict[str, Any]], None]:
    def trace(name: str, facts: dict[str, Any]) -> None:
        if name.endswith("connect_tcp.complete"):
            connection = facts["return_value"].get_extra_info("socket")
            if isinstance(connection, socket.socket):
                watch.connected(connection)

    return trace
