"""The harness's own attacks. Travels into the sandbox and tries to get out; standard library only.

    python probe.py OUT SETTINGS_JSON

Writes {attack: did it succeed} to OUT/findings.json. It behaves as a hostile candidate would, except that it does
no harm where it succeeds. What only the outside can see (a process left behind) is judged there.
"""

import contextlib
import ctypes
import errno
import json
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
_NO_KEY = 0x6E6F6E65
_FAMILIES = (
    socket.AF_INET,
    socket.AF_INET6,
    getattr(socket, "AF_NETLINK", 16),
    getattr(socket, "AF_VSOCK", 40),
)
_LEFT_SECONDS = 60


def main() -> None:
    settings = json.loads(sys.argv[2])
    findings = {name: _succeeds(attack, settings) for name, attack in ATTACKS.items()}
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
    return _any([lambda: _write(path), lambda: _write(f"{path}.{os.getpid()}")])


def connect_out(settings: dict[str, Any]) -> bool:
    """The referee's own listeners on loopback, and families of sockets that no network namespace covers."""

    def stream(family: int, address: object) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as channel:
            channel.settimeout(1.0)
            channel.connect(address)  # type: ignore[arg-type] # a typeshed of one address per family

    attempts: list[Callable[[], object]] = [
        lambda: stream(socket.AF_INET, ("127.0.0.1", settings["port"])),
        lambda: stream(socket.AF_UNIX, f"\0{settings['token']}"),
        *(lambda family=family: socket.socket(family, socket.SOCK_DGRAM).close() for family in _FAMILIES),
    ]
    return _any(attempts)


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
    """System calls that lead round the rest: namespaces, mounts, tracing, io_uring, key rings.

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
    ]
    return any(_reaches_kernel(call) for call in calls)


def _reaches_kernel(call: Callable[[], int]) -> bool:
    ctypes.set_errno(0)
    return call() >= 0 or ctypes.get_errno() not in {errno.EPERM, errno.ENOSYS, errno.EACCES}


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
    "connect_out": connect_out,
    "signal_referee": signal_referee,
    "look_into_processes": look_into_processes,
    "gain_privilege": gain_privilege,
    "use_machinery": use_machinery,
    "keep_something": keep_something,
}


if __name__ == "__main__":
    main()
