"""Answers what the filter cannot decide, because it sees no path and no family. Standard library only.

`connect`: only to a Unix socket that lies in the program's own out or tmp (with namespaces: in its /dev/shm, too, or to
a name of its own network). The launcher connects a socket of its own and puts it in the place of the program's: what
is looked at is what is connected to, so exchanging an address or a link meanwhile gains nothing.
Locks: only of files that lie there. The launcher sets them itself, on the very description that it has looked at; those
that belong to a process (F_SETLK) come to belong to the description, as a process here has nobody to share a file with.
Calls that name a process by its number pass when the process descends from the launcher.
Source: seccomp_unotify(2), pidfd_getfd(2), F_OFD_SETLK in fcntl(2).
"""

import contextlib
import errno
import fcntl
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
_PIDFD_GETFD = 438  # the same on every architecture
_GET_LOCK, _TRY_LOCK, _AWAIT_LOCK = (5, 36), (6, 37), (7, 38)  # of fcntl: of a process, of a description
_LOCK_BYTES = 32
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
        self._copies = copies_descriptors()
        self._waiting: list[Notification] = []  # for room at a listener of its own, or for a lock

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
        if name in ("connect", "flock", "fcntl"):
            try:
                with kernel.as_user(self._plan.uid):
                    self._serve(request, name)
            except OSError as error:
                self._reply(request, error=error.errno or errno.EACCES)
            except (ValueError, IndexError):  # it went while we read about it
                self._reply(request, error=errno.EINVAL)
        else:
            self._let(request, _names_own(name, request.arguments))

    def _serve(self, request: Notification, name: str) -> None:
        """Raises OSError with what the program is to be told."""
        if name != "connect" and not self._copies:
            self._let(request, self._is_own_of(request))
        elif self._connect(request) if name == "connect" else self._lock(request, name):
            self._reply(request)
        else:
            self._waiting.append(request)

    def _let(self, request: Notification, allowed: bool) -> None:
        """The kernel does what was asked, or does not."""
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

    def _lock(self, request: Notification, name: str) -> bool:
        """False: somebody holds it, and the program waits. Raises OSError with what the program is to be told."""
        operation = request.arguments[1] & 0xFFFFFFFF
        patient = not operation & fcntl.LOCK_NB if name == "flock" else operation in _AWAIT_LOCK
        file = _own_copy(request.thread, request.arguments[0] & 0xFFFFFFFF)
        try:
            if not self._is_own(file):
                raise PermissionError(errno.EACCES, "")
            kernel.ioctl(self.descriptor, _STILL_VALID, struct.pack("=Q", request.id))
            if name == "flock":
                fcntl.flock(file, operation | fcntl.LOCK_NB)
            else:
                _lock_range(file, operation, request)
        except BlockingIOError:
            if patient and len(self._waiting) < _MOST_WAITING:
                return False
            raise
        finally:
            os.close(file)
        return True

    def _is_own_of(self, request: Notification) -> bool:
        """Where no descriptor can be copied (Docker's defaults): what it is now, and may not be when it is locked."""
        place = f"/proc/{request.thread}/fd/{request.arguments[0] & 0xFFFFFFFF}"
        file = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            return self._is_own(file)
        finally:
            os.close(file)

    def _is_own(self, file: int) -> bool:
        state, real = os.fstat(file), os.readlink(f"/proc/self/fd/{file}")
        return any(real.startswith(own) and state.st_dev == device for own, device in self._own)

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
            if not self._is_own(place):
                raise PermissionError(errno.EACCES, "")
            if not stat.S_ISSOCK(os.fstat(place).st_mode):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "")
            ours.connect(f"/proc/self/fd/{place}")
        finally:
            os.close(place)


def copies_descriptors() -> bool:
    """Whether pidfd_getfd(2) is to be had here. Asked about ourselves, so that no program has a say in it."""
    process = os.pidfd_open(os.getpid())
    try:
        os.close(kernel.syscall("pidfd_getfd", _PIDFD_GETFD, process, process, 0))
    except OSError:
        return False
    finally:
        os.close(process)
    return True


def _own_copy(thread: int, descriptor: int) -> int:
    """Of the program's descriptor: the same description, so that it is judged and locked in one. Raises OSError."""
    with open(f"/proc/{thread}/status") as file:
        process = os.pidfd_open(int(file.read().partition("Tgid:")[2].split()[0]))
    try:
        return kernel.syscall("pidfd_getfd", _PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)


def _lock_range(file: int, operation: int, request: Notification) -> None:
    """As F_OFD_SETLK and F_OFD_GETLK do. Raises BlockingIOError where somebody holds it, and OSError."""
    asked = bytearray(_memory(request.thread, request.arguments[2], _LOCK_BYTES))
    if len(asked) != _LOCK_BYTES:
        raise OSError(errno.EFAULT, "")
    asked[24:28] = bytes(4)  # l_pid
    asks = operation in _GET_LOCK
    found = fcntl.fcntl(file, _GET_LOCK[1] if asks else _TRY_LOCK[1], bytes(asked))
    if asks:
        with open(f"/proc/{request.thread}/mem", "r+b", buffering=0) as memory:
            memory.seek(request.arguments[2])
            memory.write(found)


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
