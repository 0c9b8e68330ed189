"""Answers what the filter cannot decide, because it sees no path and no family. Standard library only.

`connect`: only to a Unix socket that lies in the program's own out or tmp (with namespaces: in its /dev/shm, too, or to
a name of its own network). The launcher connects a socket of its own and puts it in the place of the program's: what
is looked at is what is connected to, so exchanging an address or a link meanwhile gains nothing.
Calls that name a process by its number pass when the process descends from the launcher.
Source: seccomp_unotify(2).
"""

import contextlib
import errno
import os
import select
import socket
import stat
import struct
from typing import NamedTuple

from harness.sandbox.launcher import calls, kernel
from harness.sandbox.launcher.plan import Plan
from harness.sandbox.launcher.watch import descends_from_us, group_descends_from_us

_RECEIVE, _SEND, _STILL_VALID, _ADD_DESCRIPTOR = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_CONTINUE, _AT_NUMBER = 1, 1
_MOST_ADDRESS_BYTES = 110
_RETRY_SECONDS = 0.01
_MOST_WAITING, _MOST_AT_ONCE = 64, 32


class Notification(NamedTuple):
    """id: of the question. thread: who asks, by a number of ours. number: of the call."""

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]


class Requests:
    """At `descriptor` the program asks; `answer` whatever is there."""

    def __init__(self, descriptor: int, plan: Plan) -> None:
        self.descriptor = descriptor
        self._plan = plan
        column = 0 if os.uname().machine == "x86_64" else 1
        tables = (calls.LOOKED_AT, *calls.ON_PROCESSES.values(), calls.SIGNALS)
        self._names = {numbers[column]: name for table in tables for name, numbers in table.items()}
        places = (
            [plan.place("out"), plan.place("tmp")]
            if plan.level < 2
            else [plan.place("out"), "/tmp", "/dev/shm"]
        )
        self._own = [(f"{os.path.realpath(place)}/", os.stat(place).st_dev) for place in places]
        self._waiting: list[Notification] = []  # for room at a listener of its own

    @property
    def retry_seconds(self) -> float | None:
        """When to call `answer` again though nobody asks."""
        return _RETRY_SECONDS if self._waiting else None

    def answer(self) -> None:
        """Never blocks, and answers no more than a few: who floods us with questions must not keep us from our work."""
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._decide(request)
        for _ in range(_MOST_AT_ONCE):
            if not select.select([self.descriptor], [], [], 0)[0]:
                return
            raw = bytearray(80)
            try:
                kernel.ioctl(self.descriptor, _RECEIVE, (kernel.Bytes * 80).from_buffer(raw))
            except OSError:
                return  # whoever asked has gone
            identity, thread, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", raw)
            self._decide(Notification(identity, thread, number, tuple(arguments)))

    def _decide(self, request: Notification) -> None:
        name = self._names.get(request.number, "")
        if name == "connect":
            try:
                with kernel.as_user(self._plan.uid):
                    done = self._connect(request)
            except OSError as error:
                self._reply(request, error=error.errno or errno.EACCES)
            except (ValueError, IndexError):  # it went while we read about it
                self._reply(request, error=errno.EINVAL)
            else:
                self._reply(request) if done else self._waiting.append(request)
            return
        allowed = _names_own(name, request.arguments)
        self._reply(request, error=0 if allowed else errno.EPERM, flags=_CONTINUE if allowed else 0)

    def _reply(self, request: Notification, error: int = 0, flags: int = 0) -> None:
        answer = struct.pack("=QqiI", request.id, 0, -error, flags)
        with contextlib.suppress(OSError):  # it was interrupted, or has gone
            kernel.ioctl(self.descriptor, _SEND, answer)

    def _connect(self, request: Notification) -> bool:
        """False: the listener has no room yet. Raises OSError with what the program is to be told."""
        descriptor, address, size = request.arguments[:3]
        flags = _flags_of(request.thread, descriptor)
        path = _unix_path(_memory(request.thread, address, min(size, _MOST_ADDRESS_BYTES)))
        # It was this thread's memory, and not that of another which has its number now.
        kernel.ioctl(self.descriptor, _STILL_VALID, struct.pack("=Q", request.id))
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as ours:
                try:
                    self._reach(ours, path, request.thread)
                except OSError as error:
                    if error.errno == errno.EPROTOTYPE and kind == socket.SOCK_STREAM:
                        continue
                    if (
                        error.errno == errno.EAGAIN
                        and not flags & os.O_NONBLOCK
                        and len(self._waiting) < _MOST_WAITING
                    ):
                        return False
                    raise
                ours.setblocking(not flags & os.O_NONBLOCK)
                self._give(request, descriptor, ours.fileno(), flags & os.O_CLOEXEC)
                return True
        raise OSError(errno.EPROTOTYPE, "")

    def _give(self, request: Notification, descriptor: int, ours: int, close_on_exec: int) -> None:
        argument = struct.pack("=QIIII", request.id, _AT_NUMBER, ours, descriptor, close_on_exec)
        kernel.ioctl(self.descriptor, _ADD_DESCRIPTOR, argument)

    def _reach(self, ours: socket.socket, path: bytes, thread: int) -> None:
        """Connect, if it is the program's own. What was opened is what is judged and what is connected to."""
        if path.startswith(b"\0"):
            if self._plan.level < 2:
                raise PermissionError(errno.EACCES, "")
            ours.connect(path)
            return
        folder = os.open(f"/proc/{thread}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            state, real = os.fstat(place), os.readlink(f"/proc/self/fd/{place}")
            if not any(real.startswith(own) and state.st_dev == device for own, device in self._own):
                raise PermissionError(errno.EACCES, "")
            if not stat.S_ISSOCK(state.st_mode):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "")
            ours.connect(f"/proc/self/fd/{place}")
        finally:
            os.close(place)


def _memory(thread: int, address: int, size: int) -> bytes:
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        try:
            memory.seek(address)
            return memory.read(size)
        except (OSError, ValueError, OverflowError):
            raise OSError(errno.EFAULT, "") from None


def _unix_path(address: bytes) -> bytes:
    """Of a struct sockaddr_un, abstract names with their leading zero. Raises OSError."""
    if len(address) < 3:
        raise OSError(errno.EINVAL, "")
    if int.from_bytes(address[:2], "little") != socket.AF_UNIX:
        raise OSError(errno.EAFNOSUPPORT, "")
    path = address[2:]
    return path if path.startswith(b"\0") else path.partition(b"\0")[0]


def _flags_of(thread: int, descriptor: int) -> int:
    """Of the program's open file. Raises OSError, for one that it does not have too."""
    with open(f"/proc/{thread}/fdinfo/{descriptor}") as file:
        return int(file.read().partition("flags:")[2].split()[0], 8)


def _names_own(name: str, arguments: tuple[int, ...]) -> bool:
    """Whether the process, or group of processes, that a call names is the program's own."""
    which, who = (_signed(argument) for argument in arguments[:2])
    if name in calls.ON_PROCESSES[1]:
        one = which == (0 if name == "setpriority" else 1)
        return one and descends_from_us(who)
    if name == "kill" and which < 0:
        return which < -1 and group_descends_from_us(-which)
    return descends_from_us(which)


def _signed(argument: int) -> int:
    low = argument & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low
