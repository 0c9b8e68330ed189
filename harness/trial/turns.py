"""Whose trial is next: sessions of a sweep that share a machine take turns, in the order in which they ask.

A session asks by connecting to the sweep's socket and has the machine from the byte that it gets until it hangs up,
so a session that is killed gives its turn back by dying.
"""

import contextlib
import os
import selectors
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "HARNESS_TURNS"  # the socket's path, in a session's environment; of one card: `card_variable`
_GO = b"!"
_LONGEST_FOLDER = 60


class Turns:
    """The sweep's side of it."""

    def __init__(self, at_once: int) -> None:
        """at_once: how many may measure at the same time."""
        self._at_once = at_once
        long = len(tempfile.gettempdir()) > _LONGEST_FOLDER  # a socket's path must be short
        self._folder = tempfile.TemporaryDirectory(prefix="turns-", dir="/tmp" if long else None)
        self.path = str(Path(self._folder.name) / "socket")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(128)
        self._ends, self._end = socket.socketpair()
        self._waiting: deque[socket.socket] = deque()
        self._measuring: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        for source in (self._listener, self._ends):
            self._selector.register(source, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="turns", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._ends:
                    return
                if source is self._listener:
                    asking, _ = self._listener.accept()
                    self._selector.register(asking, selectors.EVENT_READ)
                    self._waiting.append(asking)
                else:
                    self._forget(source)
            self._grant()

    def _forget(self, gone: socket.socket) -> None:
        """It has hung up: nobody says anything else."""
        self._selector.unregister(gone)
        self._measuring.discard(gone)
        with contextlib.suppress(ValueError):
            self._waiting.remove(gone)
        gone.close()

    def _grant(self) -> None:
        while self._waiting and len(self._measuring) < self._at_once:
            first = self._waiting.popleft()
            self._measuring.add(first)
            with contextlib.suppress(OSError):  # it went while it waited: its end is seen at once
                first.send(_GO)

    def close(self) -> None:
        """Whoever waits goes on without a turn."""
        self._end.close()
        self._thread.join()
        for source in (*self._waiting, *self._measuring, self._listener, self._ends):
            source.close()
        self._selector.close()
        self._folder.cleanup()


def card_variable(gpu: int) -> str:
    """For sessions that use several cards: each of them has turns of its own."""
    return f"{VARIABLE}_GPU{gpu}"


def in_sweep() -> bool:
    """Whether this session takes turns with others."""
    return VARIABLE in os.environ


@contextlib.contextmanager
def turn(timeout_seconds: float | None = None, gpu: int | None = None) -> Iterator[float]:
    """Has the machine inside the block; gives the seconds that were waited for it. At once outside of a sweep.

    gpu: whose turn it is, where the session uses several. Raises TimeoutError. Where the sweep is gone nobody hands out
    turns, and nobody waits for one.
    """
    own = None if gpu is None else os.environ.get(card_variable(gpu))
    path = own or os.environ.get(VARIABLE)
    if not path:
        yield 0.0
        return
    begin = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(timeout_seconds)
        with contextlib.suppress(ConnectionError, FileNotFoundError):
            asking.connect(path)
            asking.recv(len(_GO))
        yield time.monotonic() - begin


class Turn:
    """One that is asked for without waiting, for trials that are made elsewhere. At once outside of a sweep."""

    def __init__(self) -> None:
        self._asking: socket.socket | None = None
        if path := os.environ.get(VARIABLE):
            self._asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._asking.connect(path)
                self._asking.setblocking(False)
            except OSError:  # the sweep is gone
                self.close()

    def granted(self) -> bool:
        """Whether it has come. Nobody waits for a sweep that is gone."""
        if self._asking is None:
            return True
        try:
            self._asking.recv(len(_GO), socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
        return True

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None
