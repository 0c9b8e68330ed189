"""Interpreters that have imported a program's libraries before there is a program; see launcher/warm.py.

One for each set of libraries and environment, begun at the first program that asks for it and kept until the sandbox
is closed. It is sent nothing but open files. The harness's own attacks are sent through it before it serves anybody;
where it cannot be had, or an attack gets through, programs are started cold, and `state` says why.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.records import Level
from harness.sandbox.host.command import Command
from harness.sandbox.host.interpreter import warm_command_line
from harness.sandbox.host.plans import warm_environment
from harness.sandbox.launcher.plan import Plan
from harness.sandbox.launcher.warm import GO, READY
from harness.sandbox.wire import ChannelClosed, make_channel, receive

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[3])
_READY_SECONDS = 300.0
_ANSWER_SECONDS = 60.0
_SAID_BYTES = 4096


class Key(NamedTuple):
    """What must be the same for two programs to come from one interpreter."""

    imports: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


class NotWarm(Exception):
    """Nothing can be started from this interpreter; the message says why."""


class ForkedLauncher:
    """A launcher that is not our child, by its handle."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def wait(self) -> None:
        """Returns when it has ended."""
        poller = select.poll()
        poller.register(self._handle, select.POLLIN)
        poller.poll()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        os.close(self._handle)


class WarmInterpreter:
    """One process of ours. `launch` may be called from any thread."""

    def __init__(self, key: Key) -> None:
        """Returns at once; `await_ready` waits for its imports."""
        self._lock = threading.Lock()
        self._channel, theirs = make_channel()
        said, log = os.pipe()
        self._said = said
        try:
            self._process = subprocess.Popen(
                warm_command_line(key.imports, theirs.fileno(), _PACKAGE_PARENT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(key.environment),
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self._channel.close()
            os.close(said)
            raise
        finally:
            theirs.close()
            os.close(log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        """Raises NotWarm."""
        try:
            message = receive(self._channel, _READY_SECONDS)
        except (ChannelClosed, TimeoutError) as error:
            raise NotWarm(self._words() or type(error).__name__) from None
        if message["op"] != READY:
            raise NotWarm(str(message.get("what")))

    def _words(self) -> str:
        os.set_blocking(self._said, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(self._said, _SAID_BYTES).decode(errors="replace")[-200:]
        return ""

    def launch(self, plan: Plan) -> tuple[ForkedLauncher, int]:
        """A launcher with its plan, and the read end of the pipe that takes everything it prints. Raises NotWarm."""
        read, write = os.pipe()
        text = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(text, plan._replace(cores=sorted(os.sched_getaffinity(0))).to_json())
            os.lseek(text, 0, os.SEEK_SET)
            return ForkedLauncher(self._asked([text, write, plan.control, *plan.kept, *plan.caches])), read
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(text)
            os.close(write)

    def _asked(self, files: list[int]) -> int:
        with self._lock:
            try:
                socket.send_fds(self._channel, [GO], files)
                self._channel.settimeout(_ANSWER_SECONDS)
                packet, handles, _, _ = socket.recv_fds(self._channel, len(GO), 1, socket.MSG_CMSG_CLOEXEC)
            except OSError as error:
                raise NotWarm(f"it has ended: {error}") from None
        if packet != GO or not handles:
            raise NotWarm("it has ended")
        return handles[0]

    def close(self) -> None:
        self._channel.close()  # it ends by itself
        self._process.kill()
        self._process.wait()
        os.close(self._said)


class WarmInterpreters:
    """Of one sandbox, by what programs ask for."""

    def __init__(self, level: Level, measure: Callable[[WarmInterpreter], object]) -> None:
        """measure: sends the harness's own attacks through it: attack -> was it blocked, or what is wrong."""
        self._level, self._measure = level, measure
        self._lock = threading.Lock()
        self._begun: dict[Key, WarmInterpreter] = {}
        self._proven: dict[Key, WarmInterpreter] = {}
        self.problems: dict[Key, str] = {}

    def begin(self, command: Command) -> bool:
        """Such programs will be asked for: returns at once, with whether they may be started warm."""
        key = self._key(command)
        with self._lock:
            return key is not None and self._is_begun(key)

    def find(self, command: Command) -> WarmInterpreter | None:
        """Ready for the command; None where it is to be started cold. Waits for one that is being made."""
        key = self._key(command)
        with self._lock:
            if key is None or not self._is_begun(key):
                return None
            if key not in self._proven:
                self._prove(key)
            return self._proven.get(key)

    def _key(self, command: Command) -> Key | None:
        environment = warm_environment(command, self._level)
        return None if environment is None else Key(command.imports, tuple(sorted(environment.items())))

    def _is_begun(self, key: Key) -> bool:
        if key not in self._begun and key not in self.problems:
            try:
                self._begun[key] = WarmInterpreter(key)
            except OSError as error:
                self.problems[key] = str(error)
        return key in self._begun

    def _prove(self, key: Key) -> None:
        interpreter = self._begun[key]
        try:
            interpreter.await_ready()
            _check(self._measure(interpreter))
            self._proven[key] = interpreter
        except NotWarm as error:
            self._drop(key, str(error))

    def _drop(self, key: Key, why: str) -> None:
        self._proven.pop(key, None)
        self._begun.pop(key).close()
        self.problems[key] = why

    def give_up(self, interpreter: WarmInterpreter, why: str) -> None:
        """It does not answer any more: programs like its own are started cold from now on."""
        with self._lock:
            for key in [key for key, found in self._begun.items() if found is interpreter]:
                self._drop(key, why)

    def close(self) -> None:
        with self._lock:
            while self._begun:
                self._begun.popitem()[1].close()
            self._proven.clear()
            self.problems.clear()


def _check(findings: object) -> None:
    if not isinstance(findings, Mapping):
        raise NotWarm(str(findings))
    if through := [attack for attack, blocked in findings.items() if not blocked]:
        raise NotWarm(f"not blocked: {', '.join(through)}")
