"""Landlock: files, TCP, signals and abstract sockets, without any privilege. Standard library only.

Source: landlock(7); the ABI number says which rights the kernel knows.
"""

import ctypes
import errno
import os
import stat
import struct

from harness.sandbox.launcher.kernel import (
    LANDLOCK_ADD,
    LANDLOCK_CREATE,
    LANDLOCK_RESTRICT,
    PR_SET_NO_NEW_PRIVS,
    prctl,
    syscall,
)

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR
_TCP, _SCOPES = 3, 3  # bind and connect; abstract unix sockets and signals
FIRST_WITH_SCOPES = 6  # Linux 6.12
FIRST_WITH_TRUNCATION = 3  # Linux 6.2
_FILTER = (
    "a system-call filter (the container's seccomp profile) refuses Landlock",
    "use a profile that allows landlock_* (Docker 23 or later has one); in Docker: --security-opt seccomp=unconfined",
)
_OFF = ("Landlock is in this kernel but switched off", "add `landlock` to the kernel's lsm= list")
_MISSING = ("this kernel has no Landlock", "use Linux 5.13 or later, built with Landlock")
_REFUSALS = {errno.ENOSYS: _MISSING, errno.EOPNOTSUPP: _OFF}
_UNDER_A_FILTER = {
    errno.EOPNOTSUPP: _OFF,
    errno.ENOSYS: (
        "either this kernel has no Landlock or a system-call filter (the container's seccomp profile) hides it",
        f"{_FILTER[1]}; on a kernel before 5.13 that does not help",
    ),
}


def abi() -> int:
    """The kernel's Landlock version, 0 without Landlock."""
    try:
        return syscall("landlock", LANDLOCK_CREATE, 0, 0, 1)
    except OSError:
        return 0


def refusal(filtered: bool) -> tuple[str, str] | None:
    """What stands in the way of Landlock and what cures it; None where it works.

    filtered: whether a system-call filter lies on this process, which may be what refuses.
    """
    try:
        syscall("landlock", LANDLOCK_CREATE, 0, 0, 1)
    except OSError as error:
        known = _UNDER_A_FILTER if filtered else _REFUSALS
        return known.get(error.errno or 0, _FILTER)
    return None


def restrict(readable: list[str], writable: list[str], version: int) -> None:
    """Only these paths (and what lies below) can be opened from now on.

    version: of Landlock, no more than `abi()`. Raises OSError without Landlock.
    """
    handled = _ALL[max(key for key in _ALL if key <= max(version, 1))]
    attributes = (ctypes.c_uint64 * 3)(
        handled, _TCP if version >= 4 else 0, _SCOPES if version >= FIRST_WITH_SCOPES else 0
    )
    size = 24 if version >= FIRST_WITH_SCOPES else 16 if version >= 4 else 8
    ruleset = syscall("landlock", LANDLOCK_CREATE, ctypes.byref(attributes), size, 0)
    for path in readable:
        _allow(ruleset, path, READ & handled)
    for path in writable:
        _allow(ruleset, path, handled)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall("landlock", LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= _FOR_FILES
    rule = struct.pack("=Qi", rights, place)  # struct landlock_path_beneath_attr, which is packed
    syscall("landlock rule", LANDLOCK_ADD, ruleset, 1, rule, 0)
    os.close(place)
