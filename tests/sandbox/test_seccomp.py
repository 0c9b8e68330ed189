"""The system-call filter, walked through for both processors by a small model of the kernel's filter machine."""

import errno
import struct

import pytest

from harness.sandbox.launcher import seccomp

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
COMMON = {"read": (0, 63), "openat": (257, 56), "mmap": (9, 222), "futex": (202, 98), "execve": (59, 221)}


def verdict(code: bytes, number: int, architecture: int, *arguments: int) -> int:
    """What the filter returns for one call."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, *[0] * (6 - len(arguments))))
    instructions = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    accumulator = place = 0
    while True:
        kind, if_true, if_false, value = instructions[place]
        place += 1
        if kind == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif kind == 0x54:
            accumulator &= value
        elif kind == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[
                kind
            ]
            place += if_true if holds else if_false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_denied_calls_return_an_error(machine: str) -> None:
    """Each call on the list is refused with EPERM; none kills, so that libraries can fall back."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine)
    for name, pair in seccomp.DENIED.items():
        if pair[column] is not None:
            assert verdict(code, pair[column], architecture) == ERRNO | errno.EPERM, name


def test_everyday_calls_pass(machine: str) -> None:
    """What every program does is allowed."""
    column, architecture = MACHINES[machine]
    for pair in COMMON.values():
        assert verdict(seccomp.program(machine), pair[column], architecture) == ALLOW


def test_sockets_are_local_only(machine: str) -> None:
    """AF_UNIX passes, every other family is refused; with a loopback of its own AF_INET passes, too."""
    column, architecture = MACHINES[machine]
    for name in ("socket", "socketpair"):
        number = seccomp._SPECIAL[name][column]
        for family in range(50):
            plain = verdict(seccomp.program(machine), number, architecture, family)
            assert (plain == ALLOW) == (family == 1)
            loop = verdict(
                seccomp.program(machine, seccomp.Options(loopback=True)), number, architecture, family
            )
            assert (loop == ALLOW) == (family in (1, 2))


def test_threads_and_forks_pass_and_namespaces_do_not(machine: str) -> None:
    """clone with namespace flags is refused, clone3 does not exist, ordinary threads and forks pass."""
    column, architecture = MACHINES[machine]
    code, number = seccomp.program(machine), seccomp._SPECIAL["clone"][column]
    for flags in (0x3D0F00, 0x11, 0x1200011):
        assert verdict(code, number, architecture, flags) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
        assert verdict(code, number, architecture, flag | 0x11) == ERRNO | errno.EPERM
    assert verdict(code, 435, architecture) == ERRNO | errno.ENOSYS


def test_another_calling_convention_is_no_way_round() -> None:
    """A foreign architecture kills; x32 numbers do not exist."""
    code = seccomp.program("x86_64")
    assert verdict(code, 101, 0x40000003) == KILL
    assert verdict(code, 0x40000000 | 101, MACHINES["x86_64"][1]) == ERRNO | errno.ENOSYS


def test_limits_of_others_cannot_be_set(machine: str) -> None:
    """prlimit on oneself passes, on another process not; terminals cannot be typed into."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine)
    assert verdict(code, seccomp._SPECIAL["prlimit64"][column], architecture, 0) == ALLOW
    assert verdict(code, seccomp._SPECIAL["prlimit64"][column], architecture, 1) == ERRNO | errno.EPERM
    assert verdict(code, seccomp._SPECIAL["ioctl"][column], architecture, 0, 0x5412) == ERRNO | errno.EPERM
    assert verdict(code, seccomp._SPECIAL["ioctl"][column], architecture, 0, 0x5413) == ALLOW


def test_ownership_is_pretended_only_where_asked(machine: str) -> None:
    """Without a user of its own the program's chmod and chown succeed without effect; else they are real."""
    column, architecture = MACHINES[machine]
    for pair in seccomp.OWNERSHIP.values():
        if pair[column] is not None:
            assert verdict(seccomp.program(machine), pair[column], architecture) == ALLOW
            pretended = seccomp.program(machine, seccomp.Options(pretend_ownership=True))
            assert verdict(pretended, pair[column], architecture) == ERRNO


def test_pairs_only_leaves_nothing_that_can_be_pointed_elsewhere(machine: str) -> None:
    """Where abstract names cannot be kept apart: no socket, and pairs only of the kinds that stay connected."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine, seccomp.Options(pairs_only=True))
    pair, close_on_exec = seccomp._SPECIAL["socketpair"][column], 0o2000000
    assert verdict(code, seccomp._SPECIAL["socket"][column], architecture, 1, 1) == ERRNO | errno.EACCES
    for kind in range(16):
        allowed = verdict(code, pair, architecture, 1, kind | close_on_exec) == ALLOW
        assert allowed == (kind in (1, 5))
        assert verdict(code, pair, architecture, 2, kind) != ALLOW
