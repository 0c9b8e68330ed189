"""A program started with the rights that a container has by default: Docker's capabilities and a filter like its own.

    python docker_defaults.py [--user N] [--refuse landlock] -- COMMAND ...

Needs root. What is emulated: the bounding set, the system calls that its profile keeps for capabilities which a
container has not, and those that it allows nobody. What is not: its mounts (masked files of /proc, read-only /sys) and
its namespaces, of which the harness sees nothing. --user: as with `docker run --user N`, no capability at all.
--refuse landlock: as older profiles do, which know no Landlock.
Source: docs.docker.com/engine/security/seccomp and /engine/containers/run (capabilities).
"""

import argparse
import ctypes
import errno
import itertools
import os
import struct
import sys

# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE
# SETFCAP
KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
# x86-64, aarch64 (-1: no such call)
NEED_A_CAPABILITY = {
    "SYS_ADMIN": [
        *[
            (321, 280),
            (300, 262),
            (431, 431),
            (432, 432),
            (430, 430),
            (433, 433),
            (165, 40),
            (442, 442),
            (429, 429),
        ],
        *[
            (428, 428),
            (298, 241),
            (179, 60),
            (443, 443),
            (171, 162),
            (170, 161),
            (308, 268),
            (103, 116),
            (166, 39),
        ],
        *[(272, 97), (212, 18)],
    ],
    "SYS_PTRACE": [(312, 272), (438, 438), (440, 440), (310, 270), (311, 271)],
    "SYS_MODULE": [(176, 106), (175, 105), (313, 273)],
    "SYS_NICE": [(239, 236), (237, 235), (238, 237)],
    "SYS_TIME": [(164, 170), (227, 112)],
    "others": [(304, 265), (169, 142), (163, 89), (172, -1), (173, -1), (153, 58)],
}
NOBODY = [
    *[
        (248, 217),
        (250, 219),
        (249, 218),
        (246, 104),
        (320, 294),
        (155, 41),
        (167, 224),
        (168, 225),
        (323, 282),
    ],
    *[(256, 238), (279, 239), (425, 425), (426, 426), (427, 427), (180, 42)],
]
LANDLOCK = [(444, 444), (445, 445), (446, 446)]
_CLONE, _CLONE3, _SOCKET, _SECCOMP = (56, 220), (435, 435), (41, 198), (317, 277)
_NAMESPACES, _AF_VSOCK = 0x7E020000, 40
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JEQ, _JSET, _RET = 0x20, 0x15, 0x45, 0x06

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", type=int, default=0)
    parser.add_argument("--refuse", choices=["landlock"])
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    drop(asked.user)
    refuse([*itertools.chain(*NEED_A_CAPABILITY.values()), *NOBODY, *(LANDLOCK if asked.refuse else [])])
    os.execvp(asked.command[0], asked.command)


def drop(user: int) -> None:
    """The bounding set, then what root has of it; a user has nothing."""
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            _libc.prctl(
                24, ctypes.c_ulong(capability), 0, 0, 0
            )  # PR_CAPBSET_DROP; past the last one it says no
    mask = sum(1 << capability for capability in KEPT_CAPABILITIES)
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        mask = 0
    header = struct.pack("=Ii", 0x20080522, 0)
    if _libc.capset(header, struct.pack("=6I", mask, mask, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")


def refuse(numbers: list[tuple[int, int]]) -> None:
    """EPERM for these; what the profile looks at more closely besides."""
    column = 0 if os.uname().machine == "x86_64" else 1

    def op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    no = op(_RET, _ERRNO | errno.EPERM)
    code = [op(_LOAD, 0)]
    code += [op(_JEQ, _CLONE3[column], 0, 1), op(_RET, _ERRNO | errno.ENOSYS)]
    code += [
        op(_JEQ, _CLONE[column], 0, 4),
        op(_LOAD, 16),
        op(_JSET, _NAMESPACES, 0, 1),
        no,
        op(_RET, _ALLOW),
    ]
    code += [op(_JEQ, _SOCKET[column], 0, 4), op(_LOAD, 16), op(_JEQ, _AF_VSOCK, 0, 1), no, op(_RET, _ALLOW)]
    for pair in numbers:
        if pair[column] >= 0:
            code += [op(_JEQ, pair[column], 0, 1), no]
    text = b"".join([*code, op(_RET, _ALLOW)])

    class FilterProgram(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    # With the right to (CAP_SYS_ADMIN has gone): a container's runtime sets it for everybody, here this bit is needed.
    _libc.prctl(38, 1, 0, 0, 0)
    program = FilterProgram(len(text) // 8, text)
    if _libc.syscall(_SECCOMP[column], 1, 0, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    sys.exit(main())
