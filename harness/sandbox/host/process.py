"""One running untrusted program, as the referee sees it."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol

from harness.errors import InfrastructureError, SandboxUnavailable
from harness.sandbox.host.command import End
from harness.sandbox.host.log import LogTail
from harness.sandbox.launcher.cpu_clock import seconds_of

_CHUNK_BYTES = 1 << 16
_FREE_BYTES = 16 << 20  # of log; what comes on top is read slowly, so that a flood costs us nothing
_SLOW_SECONDS = 0.02
_START_SECONDS = 60.0
_KILL_SECONDS = 20.0


class Launcher(Protocol):
    """The program between us and the untrusted one."""

    def wait(self) -> object:
        """Returns when it has ended."""

    def kill(self) -> None: ...

    def close(self) -> None: ...


class OwnLauncher:
    """One that is our child."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def wait(self) -> object:
        return self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Nothing is held beside the process, which has been waited for."""


class Process:
    """A program in its sandbox. Leaving the `with` block kills it and removes everything of it.

    A thread of ours drains the log and the launcher's events, so the program never waits for us to look.
    """

    def __init__(
        self,
        launcher: Launcher,
        control: socket.socket,
        log: int,
        log_bytes: int,
        sweep: Callable[[bool], None],
        held: contextlib.ExitStack,
    ) -> None:
        """log: read end of the pipe that takes standard output and error. held: what `close` gives back.

        sweep: called once when the launcher has gone, with whether it said that nobody is left.
        """
        self._launcher, self._control, self._sweep, self._held = launcher, control, sweep, held
        self._log_pipe, self._log = log, LogTail(log_bytes)
        self._changed = threading.Condition()
        self._descriptors: dict[str, int] = {}  # by the event that they came with
        self._events: dict[str, dict[str, object]] = {}
        self._sampled_seconds = self._own_seconds = 0.0
        self._peak_bytes = 0
        self._memory_bytes = 0
        self._killed = self._closed = False
        self._end: End | None = None
        self.warm = False  # whether it went on in an interpreter that was there before
        self._thread = threading.Thread(target=self._follow, name="sandbox", daemon=True)
        self._thread.start()

    def await_start(self) -> None:
        """Returns when the program's first instruction is near. Raises SandboxUnavailable, InfrastructureError."""
        with self._changed:
            self._changed.wait_for(lambda: "started" in self._events or self._end, _START_SECONDS)
            failed, started = self._events.get("failed"), "started" in self._events
        if started:
            return
        self.close()
        if failed:
            raise SandboxUnavailable(f"the sandbox could not be set up: {failed.get('what')}")
        raise InfrastructureError(f"the sandbox's launcher ended: {self.log[-400:]}")

    @property
    def log(self) -> str:
        """The tail of standard output and error, escaped."""
        with self._changed:
            return self._log.text()

    def printed_last(self, most_bytes: int) -> str:
        """The very end of the same as it was printed: not for a terminal."""
        with self._changed:
            return self._log.last(most_bytes)

    @property
    def out(self) -> int | None:
        """A descriptor of the program's out/ folder, valid until `close`."""
        return None if self._closed else self._descriptors.get("ready")

    @property
    def temporary(self) -> int | None:
        """A descriptor of its /tmp, with its caches, valid until `close`."""
        return None if self._closed else self._descriptors.get("temporary")

    @property
    def cpu_seconds(self) -> float:
        """Of the program and all that it ever started, up to now (by sampling: up to the last look)."""
        if "started" in self._descriptors and not self._closed:
            return seconds_of(os.read(self._descriptors["started"], 8))
        return self._sampled_seconds

    @property
    def exact_cpu_clock(self) -> bool:
        """Whether no process can escape the count: the kernel makes it, or every child must be waited for."""
        return bool(self._events.get("started", {}).get("exact"))

    @property
    def cpu_clock_of_kernel(self) -> bool:
        return "started" in self._descriptors

    @property
    def memory_bytes(self) -> int:
        return self._memory_bytes

    def wait(self, timeout_seconds: float | None = None) -> End | None:
        """How it ended, or None after the timeout. When this returns an end, no process is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None, timeout_seconds)
            return self._end

    def kill(self) -> End:
        """Kill everything; returns when the tree is empty."""
        if self._end is None:
            self._killed = True
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)  # hanging up is the order to kill
            if not self.wait(_KILL_SECONDS):
                self._launcher.kill()  # the kernel, or else `sweep`, takes the rest along
                self._kill_what_is_left()
        end = self.wait(_KILL_SECONDS)
        if end is None:
            raise InfrastructureError("a trial's processes could not be killed")
        return end

    def close(self) -> None:
        """Kill, and give everything back."""
        if self._closed:
            return
        try:
            self.kill()
        finally:
            self._closed = True
            self._thread.join(_KILL_SECONDS)
            for descriptor in (*self._descriptors.values(), self._log_pipe):
                os.close(descriptor)
            self._control.close()
            self._held.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> None:
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._log_pipe, select.POLLIN)
        open_ends = {self._control.fileno(), self._log_pipe}
        while self._control.fileno() in open_ends:
            for descriptor, _ in poller.poll():
                more = self._read_event() if descriptor == self._control.fileno() else self._read_log()
                if not more:
                    poller.unregister(descriptor)
                    open_ends.discard(descriptor)
        self._finish()

    def _read_event(self) -> bool:
        try:
            packet, descriptors, _, _ = socket.recv_fds(
                self._control, _CHUNK_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False
        if not packet:
            return False
        event = json.loads(packet)
        with self._changed:
            self._descriptors.update((event["event"], descriptor) for descriptor in descriptors)
            self._events[event["event"]] = event
            self._own_seconds = event.get("own_seconds", self._own_seconds)
            own = (
                self._own_seconds if event["event"] == "empty" else 0.0
            )  # pid 1 is counted there, and is ours
            self._sampled_seconds = max(self._sampled_seconds, event.get("cpu_seconds", 0.0) - own)
            self._memory_bytes = event.get("memory_bytes", self._memory_bytes)
            self._peak_bytes = max(self._peak_bytes, self._memory_bytes)
            self._changed.notify_all()
        return True

    def _read_log(self) -> bool:
        chunk = os.read(self._log_pipe, _CHUNK_BYTES)
        with self._changed:
            self._log.add(chunk)
        if self._log.total_bytes > _FREE_BYTES:
            time.sleep(_SLOW_SECONDS)
        return bool(chunk)

    def _kill_what_is_left(self) -> None:
        """The launcher was lost or hangs. Its namespace goes with its pid 1; without one this reaches the program."""
        handle = self._descriptors.get("handle")
        if handle is None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        poller.poll(_KILL_SECONDS * 1000)

    def _finish(self) -> None:
        """The launcher has gone; every descendant too, if it could say so."""
        self._launcher.wait()
        os.set_blocking(self._log_pipe, False)
        with contextlib.suppress(BlockingIOError):
            while self._log.total_bytes < _FREE_BYTES and self._read_log():
                pass
        if "empty" not in self._events:
            self._kill_what_is_left()
        self._sweep("empty" in self._events)
        exited = self._events.get("exited", {}).get("status", -9)
        limit = str(self._events.get("limit", {}).get("what", ""))
        with self._changed:
            self._end = End(
                status=exited if isinstance(exited, int) else -9,
                cpu_seconds=self.cpu_seconds,
                peak_memory_bytes=self._peak_bytes,
                killed=self._killed,
                limit=limit,
                proven="empty" in self._events,
                lost="exited" not in self._events and not self._killed,
            )
            self._changed.notify_all()
