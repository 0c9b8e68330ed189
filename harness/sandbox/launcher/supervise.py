"""Waits for one child, measures it, kills on command, and ends only when no descendant is left."""

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Protocol

from harness.sandbox.launcher.plan import Plan
from harness.sandbox.launcher.watch import waited_seconds

Kill = Callable[[], None]


class Became(BaseException):
    """Raised in the process that was confined and goes on as the program (warm.py), through all that is above."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


class RequestSource(Protocol):
    """What the program asks of us; see requests.py."""

    descriptor: int

    @property
    def retry_seconds(self) -> float | None: ...

    def answer(self) -> None: ...


class Wakeup:
    """SIGCHLD as a readable descriptor."""

    def __init__(self) -> None:
        self.read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.read, 512):
                pass

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self.read)
        os.close(self._write)


def say(control: socket.socket, descriptors: tuple[int, ...] = (), **message: object) -> bool:
    """One event for the referee; False when it has gone and nobody is left to tell."""
    try:
        socket.send_fds(control, [json.dumps(message).encode()], list(descriptors))
    except OSError:
        return False
    return True


def watch(
    child: int,
    control: socket.socket,
    *,
    wakeup: Wakeup,
    listen: Kill | None = None,
    parent: int | None = None,
    look: Callable[[], None] | None = None,
    requests: RequestSource | None = None,
    seconds: float = 1.0,
) -> int:
    """Reap until `child` has ended; its wait status is returned.

    listen: called when the referee says so or has gone (only one process may read the control socket).
    parent: a pipe that our parent holds open; this process ends with it.
    look: called every `seconds` and once more at the end. requests: answered as they come.
    """
    poller = select.poll()
    poller.register(wakeup.read, select.POLLIN)
    if listen:
        poller.register(control.fileno(), select.POLLIN)
    if parent is not None:
        poller.register(parent, select.POLLIN)
    if requests:
        poller.register(requests.descriptor, select.POLLIN)
    next_look = time.monotonic() + seconds
    while True:
        wakeup.clear()
        status = _reap(child)
        if status is not None:
            if look:
                look()
            return status
        ready = dict(poller.poll(_milliseconds(next_look if look else None, requests)))
        if parent in ready:
            os._exit(0)
        if listen and control.fileno() in ready:
            poller.unregister(control.fileno())
            listen()
        if requests and ready.get(requests.descriptor, 0) & ~select.POLLIN:
            poller.unregister(requests.descriptor)  # nobody is left who could ask
            requests = None
        if requests:
            requests.answer()
        if look and time.monotonic() >= next_look:
            look()
            next_look = time.monotonic() + seconds


def _milliseconds(next_look: float | None, requests: RequestSource | None) -> float | None:
    """How long to sleep; None: until something happens."""
    waits = [] if next_look is None else [max(0.0, next_look - time.monotonic())]
    if requests and requests.retry_seconds is not None:
        waits.append(requests.retry_seconds)
    return min(waits) * 1000 if waits else None


def _reap(child: int) -> int | None:
    """Collect every ended child; the status of `child` if it was among them."""
    found: int | None = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if process == 0:
            return found
        if process == child:
            found = status


def empty(kill_all: Kill) -> float:
    """Kill until the kernel says that we have no child; CPU seconds of all that were ever waited for."""
    while True:
        kill_all()
        try:
            process = 1
            while process:
                process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return waited_seconds()
        time.sleep(0.002)
