"""System calls that Python has no name for: thin, checked, x86-64 and aarch64. Standard library only.

Each function raises OSError with the kernel's errno and the name of the call.
Sources: man pages mount(2), unshare(2), pivot_root(2), prctl(2), capabilities(7).
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 2, 4, 24
PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT = 38, 36, 47
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
PR_SET_KEEPCAPS = 8
CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN = 2, 21

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture

_libc = ctypes.CDLL(None, use_errno=True)
Bytes = ctypes.c_char


def syscall(name: str, number: int, *arguments: object) -> int:
    """The raw system call; every argument is widened to 64 bits."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    _libc.syscall.restype = ctypes.c_long
    result = int(_libc.syscall(ctypes.c_long(number), *wide))
    return checked(name, result)


def checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def raise_loopback() -> None:
    """Bring up `lo` of our network namespace; needs CAP_NET_ADMIN in it."""
    import fcntl  # only where it is asked for: the launcher's start-up counts
    import socket
    import struct

    up_and_running = 0x1 | 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", up_and_running))  # SIOCSIFFLAGS


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    checked(f"mount {kind or 'bind'} on {target}", result)


def unmount(target: str) -> None:
    checked(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def pivot_root(new: str, old: str) -> None:
    syscall("pivot_root", _PIVOT_ROOT[os.uname().machine], new.encode(), old.encode())


def prctl(option: int, second: int = 0, third: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    checked(f"prctl {option}", _libc.prctl(option, ctypes.c_ulong(second), ctypes.c_ulong(third), zero, zero))


def ioctl(descriptor: int, request: int, argument: object) -> None:
    checked("ioctl", _libc.ioctl(descriptor, ctypes.c_ulong(request), argument))


@contextlib.contextmanager
def as_user(user: int | None) -> Iterator[None]:
    """Files and other processes are looked at as that user would (None: as we are); signals are still ours.

    Where root lacks CAP_SYS_PTRACE, as in a container, this is the way to see the program that we have started.
    The kernel then forgets which signal follows the end of our parent: it is set again.
    """
    if user is None:
        yield
        return
    before = (os.geteuid(), os.getegid())
    at_parents_end = ctypes.c_int(0)
    _libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(at_parents_end), 0, 0, 0)
    _libc.setfsgid(user)
    _libc.setfsuid(user)
    try:
        yield
    finally:
        _libc.setfsuid(before[0])
        _libc.setfsgid(before[1])
        prctl(PR_SET_PDEATHSIG, at_parents_end.value)


def limit_capabilities(keep: int) -> None:
    """Make `keep` (a bit mask) the permitted, effective and inheritable set of this thread."""

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    low, high = keep & 0xFFFFFFFF, keep >> 32
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    header = Header(0x20080522, 0)
    syscall("capset", _CAPSET[os.uname().machine], ctypes.byref(header), ctypes.byref(data))


def has_capability(capability: int) -> bool:
    """Whether it is in this process's effective set."""
    with open("/proc/self/status") as file:
        effective = file.read().partition("CapEff:")[2].split()[0]
    return bool(int(effective, 16) >> capability & 1)


def empty_bounding_set(keep: int) -> None:
    """No later exec can gain a capability outside `keep`. Needs CAP_SETPCAP."""
    for capability in range(64):
        if keep >> capability & 1:
            continue
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return  # EINVAL: past the kernel's last capability
