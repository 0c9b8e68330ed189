"""The system-call filter: classic BPF, built by hand. Standard library only.

Refused calls return an error (a library may probe and fall back), a foreign architecture kills.
`socket` is never denied as such: CUDA binds Unix sockets of its own. AF_UNIX passes in its connected kinds (a datagram
socket can be pointed anywhere by each message), every other family (AF_VSOCK too, which no network namespace covers) is
refused; `connect` is asked of the launcher, who sees the path (requests.py), or refused where it cannot be asked;
so are locks, by which two programs that run side by side could talk through a library's file.
`clone3` answers ENOSYS because its flags lie behind a pointer; the C library then uses `clone`, whose flags are seen.
Being looked into (PR_SET_DUMPABLE) cannot be switched off: the launcher counts what the program holds.
Where the program has our own user, changing modes, owners and times pretends to succeed: it could close the files that
the gate hands to every trial, and at level 1 (Landlock does not cover it) all of the referee's.
Source: seccomp(2), seccomp_unotify(2), linux/audit.h, linux/filter.h.
"""

import ctypes
import errno
import os
import signal
import struct
from typing import NamedTuple

from harness.sandbox.launcher import calls
from harness.sandbox.launcher.kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, prctl, syscall

_ALLOW, _ERRNO, _KILL, _ASK = 0x7FFF0000, 0x00050000, 0x80000000, 0x7FC00000
_LOAD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NR, _ARCH, _ARG0, _ARG1, _ARG2, _ARG3, _ARG5 = 0, 4, 16, 24, 32, 40, 56
_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW* of clone(2), and CLONE_NEWTIME
_AF_UNIX, _AF_INET = 1, 2
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
# Typing into a terminal; signals to whom one names; attributes of files, which stay for the next trial.
_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902, 0x40086602, 0x40046602, 0x401C5820, 0x40087602)
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT: the same, through fcntl.
_FCNTLS = (8, 10, 15, 1024, 1026, 1036, 1038)
# F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ kin.
LOCKS = (5, 6, 7, 36, 37, 38)
# MADV_COLD, MADV_PAGEOUT, MADV_COLLAPSE: how a shared file lies in memory is seen by the next who maps it.
_MADVICES = (20, 21, 25)
# Files that all may read are a slate if their pages can be dropped from memory (POSIX_FADV_DONTNEED, RWF_DONTCACHE) and
# be asked for without fetching them (RWF_NOWAIT).
_POSIX_FADV_DONTNEED, _RWF_NOWAIT, _RWF_DONTCACHE = 4, 0x8, 0x80
# SO_SNDBUF, SO_RCVBUF and their FORCE kin: what waits in a socket is memory that no counter of ours shows.
_SOCKET_BUFFERS = (7, 8, 32, 33)
# SO_COOKIE, SO_NETNS_COOKIE: numbers that the whole machine draws in turn; how many were drawn, the next trial reads.
_COOKIES = (57, 71)
_SECCOMP_SET_MODE_FILTER, _NEW_LISTENER = 1, 8

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}


class Options(NamedTuple):
    """What is needed beyond the common filter.

    loopback: AF_INET passes and may connect; no socket of AF_UNIX but connected pairs.
    same_user: the program has our own user. shared: it has the machine's process numbers and files (level 1).
    signals: whom it may signal is up to this filter, too (no Landlock that confines them).
    asks: the launcher answers what only it can see; else that is refused.
    truncates: shortening a file by its name is up to this filter (no Landlock that knows it).
    pinned: what happens to a dead child cannot be changed: all are waited for, and none escapes the count of CPU time.
    """

    loopback: bool = False
    same_user: bool = False
    shared: bool = False
    signals: bool = False
    asks: bool = False
    truncates: bool = False
    pinned: bool = False


_STRICT = Options()


def program(machine: str, options: Options = _STRICT) -> bytes:
    """The filter as an array of `struct sock_filter` for `machine` ("x86_64" or "aarch64")."""
    column = 0 if machine == "x86_64" else 1
    code = [
        _op(_LOAD, _ARCH),
        _op(_JEQ, _AUDIT_ARCH[machine], 1, 0),
        _op(_RET, _KILL),
        _op(_LOAD, _NR),
    ]
    if machine == "x86_64":  # the x32 calling convention would bypass the numbers below
        code += [_op(_JGE, 0x40000000, 0, 1), _refuse(errno.ENOSYS)]
    for numbers, body in (*_looked_at(options), *_as_a_whole(options)):
        if numbers[column] is not None:
            code += [_op(_JEQ, numbers[column] or 0, 0, len(body)), *body]
    return b"".join([*code, _op(_RET, _ALLOW)])


_Rules = list[
    tuple[tuple[int | None, int | None], list[bytes]]
]  # numbers of a call, what to do; each ends in a return


def _looked_at(options: Options) -> _Rules:
    """Calls whose arguments decide."""
    rules = {
        "clone3": [_refuse(errno.ENOSYS)],
        "clone": _if_any(_ARG0, _NAMESPACES, errno.EPERM),
        "socket": _sockets(options.loopback),
        "socketpair": [*_unless_family(_AF_UNIX), *_unless_connected_kind()],
        "connect": [_op(_RET, _ALLOW)] if options.loopback else [_ask(options, errno.EACCES)],
        "setsockopt": _if_equal(_ARG2, _SOCKET_BUFFERS, 0),  # larger is a wish
        "getsockopt": _if_equal(_ARG2, _COOKIES, errno.EPERM),
        "ioctl": _if_equal(_ARG1, _IOCTLS, errno.EPERM),
        "fcntl": _if_equal(_ARG1, _FCNTLS, errno.EPERM),
        "flock": [_op(_RET, _ALLOW)],
        "madvise": _if_equal(_ARG2, _MADVICES, errno.EINVAL),
        "fadvise64": _if_equal(_ARG3, (_POSIX_FADV_DONTNEED,), 0),  # advice may be ignored
        "preadv2": _if_any(_ARG5, _RWF_NOWAIT | _RWF_DONTCACHE, errno.EOPNOTSUPP),
        "prctl": _if_equal(_ARG0, (PR_SET_DUMPABLE,), 0),
        "prlimit64": _unless_equal(_ARG0, (0,), _refuse(errno.EPERM)),
    }
    if not options.loopback:  # an agent's tools lock what they like, and no trial is beside them
        ask = _ask(options, errno.EACCES)
        rules["flock"] = [ask]
        rules["fcntl"] = [*_only_if(_ARG1, LOCKS, ask), *rules["fcntl"]]
    if options.truncates:
        rules |= {
            "truncate": [_refuse(errno.EACCES)],
            "open": _unless_writing(_ARG1),
            "openat": _unless_writing(_ARG2),
            "openat2": [_refuse(errno.ENOSYS)],  # its flags lie behind a pointer
        }
    if options.pinned:
        rules["rt_sigaction"] = _pretend_if_set(signal.SIGCHLD)
    return [(calls.LOOKED_AT[name], body) for name, body in rules.items()]


def _as_a_whole(options: Options) -> _Rules:
    """Calls of one kind, alike."""
    rules = [(numbers, [_refuse(errno.EPERM)]) for numbers in calls.DENIED.values()]
    if options.same_user:
        rules += [(numbers, [_refuse(0)]) for numbers in calls.OWNERSHIP.values()]
    if options.shared or not options.loopback:  # as with locks: an agent's tools watch their own tree
        rules += [(numbers, [_refuse(errno.EPERM)]) for numbers in calls.WATCHING.values()]
    if options.shared and options.same_user:
        rules += _on_processes(options)
    return rules


def _on_processes(options: Options) -> _Rules:
    """Other processes of our user, where nothing else keeps the program away from them."""
    ask = _ask(options, errno.EPERM)
    rules = [(numbers, _unless_equal(_ARG0, (0,), ask)) for numbers in calls.ON_PROCESSES[0].values()]
    for user, name in ((_PRIO_USER, "setpriority"), (_IOPRIO_WHO_USER, "ioprio_set")):
        whose = [_op(_LOAD, _ARG0), _op(_JEQ, user, 0, 1), _refuse(errno.EPERM)]
        rules.append((calls.ON_PROCESSES[1][name], [*whose, *_unless_equal(_ARG1, (0,), ask)]))
    if options.signals:
        rules += [(numbers, _unless_equal(_ARG0, (0,), ask)) for numbers in calls.SIGNALS.values()]
        rules += [(numbers, [_refuse(errno.EPERM)]) for numbers in calls.SIGNALS_BY_HANDLE.values()]
    return rules


def install(options: Options) -> int:
    """Apply the filter to this thread for good; with `asks`, the descriptor at which the launcher is asked.

    Raises OSError where the kernel has no seccomp, or cannot ask.
    """
    instructions = program(os.uname().machine, options)

    class FilterProgram(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    prctl(PR_SET_NO_NEW_PRIVS, 1)
    argument = ctypes.byref(FilterProgram(len(instructions) // 8, instructions))
    flags = _NEW_LISTENER if options.asks else 0
    return syscall("seccomp", _SECCOMP[os.uname().machine], _SECCOMP_SET_MODE_FILTER, flags, argument)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _op(_RET, _ERRNO | number)


def _ask(options: Options, error: int) -> bytes:
    return _op(_RET, _ASK) if options.asks else _refuse(error)


def _sockets(loopback: bool) -> list[bytes]:
    """AF_UNIX in its connected kinds; with a loopback, AF_INET instead, for `connect` is then free."""
    if loopback:
        return _unless_equal(_ARG0, (_AF_INET,), _refuse(errno.EAFNOSUPPORT))
    return [*_unless_family(_AF_UNIX), *_unless_connected_kind()]


def _unless_family(family: int) -> list[bytes]:
    return [_op(_LOAD, _ARG0), _op(_JEQ, family, 1, 0), _refuse(errno.EAFNOSUPPORT)]


def _unless_connected_kind() -> list[bytes]:
    """Stream and packet sockets stay connected to whom they are; one of datagrams can be redirected."""
    kind = [_op(_LOAD, _ARG1), _op(_AND, _SOCK_TYPE_MASK)]
    allowed = [_op(_JEQ, _SOCK_STREAM, 2, 0), _op(_JEQ, _SOCK_SEQPACKET, 1, 0)]
    return [*kind, *allowed, _refuse(errno.EACCES), _op(_RET, _ALLOW)]


def _unless_writing(flags: int) -> list[bytes]:
    """Opening for reading with O_TRUNC, which shortens all the same; who opens for writing is looked at by Landlock."""
    return [
        _op(_LOAD, flags),
        _op(_JSET, os.O_TRUNC, 0, 3),
        _op(_AND, os.O_ACCMODE),
        _op(_JEQ, os.O_RDONLY, 0, 1),
        _refuse(errno.EACCES),
        _op(_RET, _ALLOW),
    ]


def _pretend_if_set(number: int) -> list[bytes]:
    """sigaction(number, new, old): asking passes, setting succeeds without effect. A pointer has two halves."""
    new = [_op(_LOAD, _ARG1), _op(_JEQ, 0, 0, 2), _op(_LOAD, _ARG1 + 4), _op(_JEQ, 0, 1, 0)]
    which = [_op(_LOAD, _ARG0), _op(_JEQ, number, 0, len(new) + 1)]
    return [*which, *new, _refuse(0), _op(_RET, _ALLOW)]


def _unless_equal(offset: int, values: tuple[int, ...], otherwise: bytes) -> list[bytes]:
    tests = [_op(_JEQ, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [_op(_LOAD, offset), *tests, otherwise, _op(_RET, _ALLOW)]


def _if_equal(offset: int, values: tuple[int, ...], error: int) -> list[bytes]:
    tests = [_op(_JEQ, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [_op(_LOAD, offset), *tests, _op(_RET, _ALLOW), _refuse(error)]


def _only_if(offset: int, values: tuple[int, ...], then: bytes) -> list[bytes]:
    """Goes on with what follows where it is none of these."""
    tests = [_op(_JEQ, value, len(values) - 1 - place, 0) for place, value in enumerate(values[:-1])]
    return [_op(_LOAD, offset), *tests, _op(_JEQ, values[-1], 0, 1), then]


def _if_any(offset: int, mask: int, error: int) -> list[bytes]:
    return [_op(_LOAD, offset), _op(_JSET, mask, 0, 1), _refuse(error), _op(_RET, _ALLOW)]
