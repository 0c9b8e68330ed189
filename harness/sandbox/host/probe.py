"""The harness's own attacks. Travels into the sandbox and tries to get out; standard library only.

    python probe.py OUT SETTINGS_JSON

Writes {attack: did it succeed} to OUT/findings.json. It behaves as a hostile candidate would, except that it does
no harm where it succeeds. What only the outside can see (a process left behind) is judged there.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _CAP_DAC_READ_SEARCH = 16, 2
_IO_URING_SETUP, _PIDFD_GETFD = 425, 438  # the same on every architecture
_ADD_KEY = 248 if platform.machine() == "x86_64" else 217
_PREADV2, _NO_WAIT = 327 if platform.machine() == "x86_64" else 286, 8
_CACHESTAT = 451
_SO_COOKIE = 57
_NO_KEY = 0x6E6F6E65
_FAMILIES = (
    socket.AF_INET,
    socket.AF_INET6,
    getattr(socket, "AF_NETLINK", 16),
    getattr(socket, "AF_VSOCK", 40),
)
_LEFT_SECONDS = 60
_IOPRIO_SET, _NEXT_GET = (251, 1) if platform.machine() == "x86_64" else (30, 1)
_MBIND, _GET_MEMPOLICY = (237, 239) if platform.machine() == "x86_64" else (235, 236)
_MPOL_PREFERRED, _MPOL_F_ADDR, _MADV_COLLAPSE = 1, 2, 25
_GET_FLAGS, _SET_FLAGS, _NO_DUMP = 0x80086601, 0x40086602, 0x40
_GET_HINT, _SET_HINT = 1035, 1036


def main() -> None:
    settings = json.loads(sys.argv[2])
    findings: dict[str, object] = {name: _succeeds(attack, settings) for name, attack in ATTACKS.items()}
    findings["marks"] = marks_of(settings["gate"])
    leave_marks(settings["gate"])
    with open(f"{sys.argv[1]}/findings.json", "w") as file:
        json.dump(findings, file)
    leave_process(settings)


def _succeeds(attack: Callable[[dict[str, Any]], bool], settings: dict[str, Any]) -> bool:
    try:
        return attack(settings)
    except (OSError, ValueError):
        return False


def _any(attempts: list[Callable[[], object]]) -> bool:
    """Whether one attempt went through without an error (and did not say False)."""
    for attempt in attempts:
        with contextlib.suppress(OSError):
            if attempt() is not False:
                return True
    return False


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 16)


def _write(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def _overwrite(path: str) -> None:
    """What is there already."""
    os.close(os.open(path, os.O_WRONLY))


def _others() -> list[str]:
    """Processes that are not this one."""
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def read_outside(settings: dict[str, Any]) -> bool:
    """A file that every user of the machine may read."""
    path, referee = settings["canary"], settings["referee"]
    places = [path, *(f"/proc/{process}/root{path}" for process in (1, os.getppid(), referee))]
    return _any([lambda place=place: _read(place) for place in places])  # type: ignore[misc]


def write_outside(settings: dict[str, Any]) -> bool:
    """A file and a folder that every user of the machine may write."""
    path = settings["canary"]
    return _any(
        [
            lambda: _write(path),
            lambda: _write(f"{path}.{os.getpid()}"),
            lambda: os.truncate(path, 1),
            lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
            lambda: os.removexattr(path, "user.nothing"),
        ]
    )


def read_harness(settings: dict[str, Any]) -> bool:
    """What is the harness's own, however it is installed: tasks' private files, guards, names of them."""

    def look(path: str) -> bool:
        return bool(os.listdir(path)) if os.path.isdir(path) else bool(_read(path))

    return _any([lambda path=path: look(path) for path in settings["private"]])  # type: ignore[misc]


def connect_out(settings: dict[str, Any]) -> bool:
    """The referee's own listeners: on loopback, under a path, under a name; families that no namespace covers."""

    def stream(family: int, address: object) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as channel:
            channel.settimeout(1.0)
            channel.connect(address)  # type: ignore[arg-type] # a typeshed of one address per family

    attempts: list[Callable[[], object]] = [
        lambda: stream(socket.AF_INET, ("127.0.0.1", settings["port"])),
        lambda: stream(socket.AF_UNIX, f"\0{settings['token']}"),
        lambda: stream(socket.AF_UNIX, settings["socket"]),
        lambda: _connect_through_link(settings["socket"]),
        lambda: _send_unasked(settings["box"]),
        *(lambda family=family: socket.socket(family, socket.SOCK_DGRAM).close() for family in _FAMILIES),
    ]
    return _any(attempts)


def _connect_through_link(path: str) -> None:
    link = f"{os.environ['TMPDIR']}/link-to-a-socket"
    with contextlib.suppress(FileExistsError):
        os.symlink(path, link)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(link)


def _send_unasked(path: str) -> None:
    """A datagram names whom it goes to, and needs no connection."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    pair[0].sendto(b"x", path)


def watch_outside(settings: dict[str, Any]) -> bool:
    """Being told of every change of a file outside, and of everybody who opens a library."""
    watcher = _libc.inotify_init()
    files = (settings["canary"], json.__file__)
    return watcher >= 0 and any(_libc.inotify_add_watch(watcher, file.encode(), 0xFFF) >= 0 for file in files)


def steer_referee(settings: dict[str, Any]) -> bool:
    """Cores, niceness, disk priority and limits of another process of the machine: each set to what it is."""
    other = settings["referee"]
    if other in {1, os.getpid()} or os.getppid() == 1:  # numbers start anew in a namespace
        return False
    attempts: list[Callable[[], object]] = [
        lambda: os.sched_setaffinity(other, os.sched_getaffinity(other)),
        lambda: os.setpriority(os.PRIO_PROCESS, other, os.getpriority(os.PRIO_PROCESS, other)),
        lambda: _set_niceness_of_user(settings["user"], os.getpriority(os.PRIO_PROCESS, other)),
        lambda: os.sched_setscheduler(other, os.SCHED_OTHER, os.sched_param(0)),
        lambda: _libc.syscall(_IOPRIO_SET, 1, other, _libc.syscall(_IOPRIO_SET + _NEXT_GET, 1, other)) == 0,
    ]
    return _any(attempts)


def _set_niceness_of_user(user: int, niceness: int) -> bool:
    """Of all its processes; 0 would mean our own user."""
    if user:
        os.setpriority(os.PRIO_USER, user, niceness)
    return user != 0


def share_memory(settings: dict[str, Any]) -> bool:
    """A segment of System V, and an open file in /dev/shm, that another program has made."""
    _libc.shmat.restype = ctypes.c_void_p
    segment = settings["segment"]
    attached = segment is not None and _libc.shmat(segment, None, 0) != ctypes.c_void_p(-1).value
    return bool(attached) or _any([lambda: _read(settings["shared"]), lambda: _overwrite(settings["shared"])])


def signal_referee(settings: dict[str, Any]) -> bool:
    """Signals to the referee and to the launcher; pid 1 of our namespace must not heed a stop."""
    if os.getppid() == 1:
        with contextlib.suppress(OSError):
            os.kill(1, signal.SIGSTOP)
            time.sleep(0.01)
        stopped = _state(1) in "Tt"
    else:
        stopped = _any([lambda: os.kill(os.getppid(), 0)])
    own = settings["referee"] == os.getpid()  # numbers start anew in a namespace
    return stopped or (
        not own and settings["referee"] != 1 and _any([lambda: os.kill(settings["referee"], 0)])
    )


def _state(process: int) -> str:
    return _read(f"/proc/{process}/stat").rpartition(b")")[2].split()[0].decode()


def look_into_processes(_: dict[str, Any]) -> bool:
    """Environment, memory and descriptors of every process but our own."""
    attempts: list[Callable[[], object]] = []
    for process in _others():
        attempts += [
            lambda process=process: _read(f"/proc/{process}/environ"),  # type: ignore[misc]
            lambda process=process: _read(f"/proc/{process}/maps") and None,  # type: ignore[misc]
            lambda process=process: os.readlink(f"/proc/{process}/fd/0"),  # type: ignore[misc]
        ]
    return _any(attempts)


def gain_privilege(_: dict[str, Any]) -> bool:
    """Being root or having capabilities, other than to read an interpreter that lies in a closed folder."""
    status = _read("/proc/self/status").decode()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if effective & ~(1 << _CAP_DAC_READ_SEARCH) or os.geteuid() == 0:
        return True
    return _any([lambda: os.setuid(0), lambda: os.setgid(0)])


def use_machinery(_: dict[str, Any]) -> bool:
    """System calls that lead round the rest: namespaces, mounts, tracing, io_uring, key rings, the cache of files,
    a count that goes on from program to program.

    Each is asked for something impossible, so that nothing happens: a filter says no, the kernel says why not.
    """
    nowhere = b"/proc/self/nowhere"
    calls: list[Callable[[], int]] = [
        lambda: _libc.unshare(0),
        lambda: _libc.mount(nowhere, nowhere, b"", 0, None),
        lambda: _libc.ptrace(_PTRACE_ATTACH, -1, 0, 0),
        lambda: _libc.syscall(_IO_URING_SETUP, 0, None),
        lambda: _libc.syscall(_PIDFD_GETFD, -1, 0, 0),
        lambda: _libc.shmget(_NO_KEY, 0, 0),
        lambda: _libc.syscall(_ADD_KEY, None, None, None, 0, 0),
        lambda: _libc.mincore(None, 0, None),
        lambda: _libc.syscall(_CACHESTAT, -1, None, None, 0),
        lambda: _libc.syscall(_PREADV2, -1, None, 0, 0, 0, _NO_WAIT),
        lambda: _libc.getsockopt(-1, socket.SOL_SOCKET, _SO_COOKIE, None, None),
    ]
    return any(_reaches_kernel(call) for call in calls)


def _reaches_kernel(call: Callable[[], int]) -> bool:
    ctypes.set_errno(0)
    refusals = {errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EOPNOTSUPP}
    return call() >= 0 or ctypes.get_errno() not in refusals


def _stores(token: str) -> list[Callable[[], object]]:
    folders = ("/tmp", "/var/tmp", "/dev/shm", os.environ["HOME"], sys.argv[1], os.path.dirname(sys.argv[0]))
    return [lambda folder=folder: _write(f"{folder}/{token}") for folder in folders]  # type: ignore[misc]


def keep_something(settings: dict[str, Any]) -> bool:
    """Whether what an earlier program stored is still there; then store it everywhere again."""
    token = settings["token"]
    folders = ("/tmp", "/var/tmp", "/dev/shm", os.environ["HOME"], sys.argv[1], os.path.dirname(sys.argv[0]))
    found = any(os.path.exists(f"{folder}/{token}") for folder in folders)
    for store in _stores(token):
        with contextlib.suppress(OSError):
            store()
    return found


def marks_of(file: int) -> dict[str, object]:
    """Everything about a file of the gate, and about its description, in which one could write a bit for the next."""
    state = os.fstat(file)
    locks = []
    for lock in (fcntl.flock, fcntl.lockf):
        with contextlib.suppress(OSError):
            lock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            locks.append(lock.__name__)
    mode = ctypes.c_int(-1)
    address, _ = _whole(file)
    _libc.syscall(_GET_MEMPOLICY, ctypes.byref(mode), None, 0, address, _MPOL_F_ADDR)
    return {
        "offset": os.lseek(file, 0, os.SEEK_CUR),
        "flags": fcntl.fcntl(file, fcntl.F_GETFL),
        "signal": fcntl.fcntl(file, fcntl.F_GETSIG),
        "owner": fcntl.fcntl(file, fcntl.F_GETOWN),
        "lease": fcntl.fcntl(file, fcntl.F_GETLEASE),
        "seals": fcntl.fcntl(file, fcntl.F_GET_SEALS),
        "times": [state.st_atime_ns, state.st_mtime_ns],
        "mode": [state.st_mode, state.st_uid, state.st_gid, state.st_nlink, state.st_size, state.st_blocks],
        "attributes": _tried(lambda: os.listxattr(file)),
        "inode flags": _tried(lambda: list(fcntl.ioctl(file, _GET_FLAGS, bytes(8)))),
        "hint": _tried(lambda: list(fcntl.fcntl(file, _GET_HINT, bytes(8)))),
        "name": os.readlink(f"/proc/self/fd/{file}"),
        "locks": locks,
        "policy": mode.value,
    }


def leave_marks(file: int) -> None:
    """Try to change each of them. The daemon that is left behind keeps the file open, and its locks."""
    for number in (signal.SIGIO, signal.SIGUSR1):  # a lease that is broken tells its holder
        signal.signal(number, signal.SIG_IGN)
    other = f"/proc/self/fd/{file}"
    attempts: list[Callable[[], object]] = [
        lambda: os.lseek(file, 3, os.SEEK_SET),
        lambda: fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK | os.O_NOATIME),
        lambda: fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGUSR1),
        lambda: fcntl.fcntl(file, fcntl.F_SETOWN, os.getpid()),
        lambda: os.utime(file),
        lambda: os.utime(file, ns=(4, 5)),
        lambda: os.fchmod(file, 0o640),
        lambda: os.fchown(file, -1, os.getgid()),
        lambda: os.setxattr(file, "user.mark", b"x"),
        lambda: fcntl.ioctl(file, _SET_FLAGS, _NO_DUMP.to_bytes(8, "little")),
        lambda: fcntl.fcntl(file, _SET_HINT, (2).to_bytes(8, "little")),
        lambda: _libc.syscall(_MBIND, *_whole(file), _MPOL_PREFERRED, ctypes.byref(ctypes.c_ulong(1)), 64, 0),
        lambda: _libc.madvise(*_whole(file), _MADV_COLLAPSE),
        lambda: os.pwrite(os.open(other, os.O_RDWR), b"x", 0),
        lambda: os.truncate(other, 1),
        lambda: fcntl.flock(os.open(other, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB),
        lambda: _read(other),
        lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK),
    ]
    for attempt in attempts:
        with contextlib.suppress(OSError, ValueError):
            attempt()


def _whole(file: int) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
    """The file's memory, shared, mapped for as long as we live."""
    size = os.fstat(file).st_size
    _libc.mmap.restype = ctypes.c_void_p
    address = _libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, file, ctypes.c_long(0))
    return ctypes.c_void_p(address), ctypes.c_size_t(size)


def _tried(ask: Callable[[], object]) -> object:
    """What it gave, or the error's number."""
    try:
        return ask()
    except OSError as error:
        return error.errno


def leave_process(settings: dict[str, Any]) -> None:
    """A daemon that heeds no signal it can refuse; the token on its command line lets the referee find it."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    assert settings["token"]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(_LEFT_SECONDS)
    os._exit(0)


ATTACKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "read_outside": read_outside,
    "write_outside": write_outside,
    "read_harness": read_harness,
    "watch_outside": watch_outside,
    "connect_out": connect_out,
    "share_memory": share_memory,
    "steer_referee": steer_referee,
    "signal_referee": signal_referee,
    "look_into_processes": look_into_processes,
    "gain_privilege": gain_privilege,
    "use_machinery": use_machinery,
    "keep_something": keep_something,
}


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # what was imported before us may take a second to tidy up
