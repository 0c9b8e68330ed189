"""The system-call filter: a deny list in classic BPF, built by hand. Standard library only.

Denied calls return an error (a library may probe and fall back), a foreign architecture kills.
`socket` and `socketpair` are never denied as such: AF_UNIX passes, every other family (AF_VSOCK too, which
no network namespace covers) is refused. `clone3` answers ENOSYS because its flags lie behind a pointer; the C
library then uses `clone`, whose flags are looked at. Where the program has our own user,
changing modes and owners pretends to succeed: it could close the files that the gate hands to every trial, and at
level 1 (Landlock does not cover it) all of the referee's.
Source: seccomp(2), linux/audit.h, linux/filter.h.
"""

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from harness.sandbox.launcher.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NR, _ARCH, _ARG0 = 0, 4, 16
_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW* of clone(2), and CLONE_NEWTIME
_AF_UNIX, _AF_INET, _TIOCSTI = 1, 2, 0x5412
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_SECCOMP_SET_MODE_FILTER = 1

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SPECIAL = {  # x86-64, aarch64
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ioctl": (16, 29),
    "prlimit64": (302, 261),
}
DENIED = {  # x86-64, aarch64; None where the architecture has no such call
    # other processes' memory and descriptors
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # key rings and System V or POSIX queues: they outlive a process
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # attributes on files that trials share
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    # ways round this filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # namespaces, mounts, file handles
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # the kernel's own machinery
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "personality": (135, 92),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    # clocks
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}

OWNERSHIP = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
}


class Options(NamedTuple):
    """loopback: AF_INET passes, too. pretend_ownership: chmod and chown succeed without effect.

    pairs_only: no socket at all but connected pairs, for kernels that cannot keep abstract names apart.
    """

    loopback: bool = False
    pretend_ownership: bool = False
    pairs_only: bool = False


_STRICT = Options()


def program(machine: str, options: Options = _STRICT) -> bytes:
    """The filter as an array of `struct sock_filter` for `machine` ("x86_64" or "aarch64")."""
    column = 0 if machine == "x86_64" else 1
    number = {name: pair[column] for name, pair in _SPECIAL.items()}
    code = [
        _op(_LOAD, _ARCH),
        _op(_JEQ, _AUDIT_ARCH[machine], 1, 0),
        _op(_RET, _KILL),
        _op(_LOAD, _NR),
    ]
    if machine == "x86_64":  # the x32 calling convention would bypass the numbers below
        code += [_op(_JGE, 0x40000000, 0, 1), _refuse(errno.ENOSYS)]
    code += _when(number["clone3"], [_refuse(errno.ENOSYS)])
    code += _when(number["clone"], _if_any(_ARG0, _NAMESPACES, errno.EPERM))
    families = (_AF_UNIX, _AF_INET) if options.loopback else (_AF_UNIX,)
    if options.pairs_only:
        code += _when(number["socket"], [_refuse(errno.EACCES)])
        code += _when(number["socketpair"], _unless_connected_pair())
    for name in ("socket", "socketpair"):
        code += _when(number[name], _unless_equal(_ARG0, families, errno.EAFNOSUPPORT))
    code += _when(number["ioctl"], _if_equal(_ARG0 + 8, _TIOCSTI, errno.EPERM))
    code += _when(number["prlimit64"], _unless_equal(_ARG0, (0,), errno.EPERM))
    for pair in DENIED.values():
        denied = pair[column]
        if denied is not None:
            code += _when(denied, [_refuse(errno.EPERM)])
    for pair in OWNERSHIP.values() if options.pretend_ownership else ():
        pretended = pair[column]
        if pretended is not None:
            code += _when(pretended, [_refuse(0)])
    return b"".join([*code, _op(_RET, _ALLOW)])


def install(options: Options) -> None:
    """Apply the filter to this thread for good. Raises OSError where the kernel has no seccomp."""
    instructions = program(os.uname().machine, options)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    prctl(PR_SET_NO_NEW_PRIVS, 1)
    argument = Program(len(instructions) // 8, instructions)
    syscall("seccomp", _SECCOMP[os.uname().machine], _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(argument))


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _op(_RET, _ERRNO | number)


def _when(number: int | None, body: list[bytes]) -> list[bytes]:
    """Run `body` only for this call; each body either returns or falls through with NR loaded again."""
    assert number is not None
    return [_op(_JEQ, number, 0, len(body)), *body]


def _unless_equal(offset: int, values: tuple[int, ...], error: int) -> list[bytes]:
    tests = [_op(_JEQ, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [_op(_LOAD, offset), *tests, _refuse(error), _op(_RET, _ALLOW)]


def _unless_connected_pair() -> list[bytes]:
    """A pair of Unix stream or packet sockets stays connected for good; one of datagram sockets can be redirected."""
    allowed = (_SOCK_STREAM, _SOCK_SEQPACKET)
    return [
        _op(_LOAD, _ARG0),
        _op(_JEQ, _AF_UNIX, 1, 0),
        _refuse(errno.EAFNOSUPPORT),
        _op(_LOAD, _ARG0 + 8),
        _op(_AND, _SOCK_TYPE_MASK),
        *(_op(_JEQ, kind, len(allowed) - place, 0) for place, kind in enumerate(allowed)),
        _refuse(errno.EACCES),
        _op(_RET, _ALLOW),
    ]


def _if_equal(offset: int, value: int, error: int) -> list[bytes]:
    return [_op(_LOAD, offset), _op(_JEQ, value, 0, 1), _refuse(error), _op(_RET, _ALLOW)]


def _if_any(offset: int, mask: int, error: int) -> list[bytes]:
    return [_op(_LOAD, offset), _op(_JSET, mask, 0, 1), _refuse(error), _op(_RET, _ALLOW)]
