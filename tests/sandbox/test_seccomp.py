"""The system-call filter, walked through for both processors by a small model of the kernel's filter machine."""

import errno
import struct

import pytest

from harness.sandbox.launcher import calls, seccomp

ALLOW, ERRNO, KILL, ASK = 0x7FFF0000, 0x00050000, 0x80000000, 0x7FC00000
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
    for name, pair in calls.DENIED.items():
        if pair[column] is not None:
            assert verdict(code, pair[column], architecture) == ERRNO | errno.EPERM, name


def test_everyday_calls_pass(machine: str) -> None:
    """What every program does is allowed."""
    column, architecture = MACHINES[machine]
    for pair in COMMON.values():
        assert verdict(seccomp.program(machine), pair[column], architecture) == ALLOW


def test_sockets_are_local_and_connected(machine: str) -> None:
    """AF_UNIX passes in the kinds that stay connected, every other family is refused."""
    column, architecture = MACHINES[machine]
    close_on_exec = 0o2000000
    for name in ("socket", "socketpair"):
        number = calls.LOOKED_AT[name][column]
        assert number is not None
        for family in range(50):
            for kind in range(16):
                passed = verdict(seccomp.program(machine), number, architecture, family, kind | close_on_exec)
                assert (passed == ALLOW) == (family == 1 and kind in (1, 5))


def test_with_a_loopback_no_local_socket_can_be_made(machine: str) -> None:
    """Where `connect` is free for AF_INET, AF_UNIX comes in connected pairs only."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine, seccomp.Options(loopback=True))
    numbers = {name: calls.LOOKED_AT[name][column] or 0 for name in ("socket", "socketpair", "connect")}
    assert verdict(code, numbers["connect"], architecture) == ALLOW
    for family in range(50):
        assert (verdict(code, numbers["socket"], architecture, family, 1) == ALLOW) == (family == 2)
        assert (verdict(code, numbers["socketpair"], architecture, family, 1) == ALLOW) == (family == 1)


def test_connect_is_asked_or_refused(machine: str) -> None:
    """The filter sees no path: the launcher is asked, and where it cannot be, the answer is no."""
    column, architecture = MACHINES[machine]
    number = calls.LOOKED_AT["connect"][column] or 0
    assert verdict(seccomp.program(machine, seccomp.Options(asks=True)), number, architecture) == ASK
    assert verdict(seccomp.program(machine), number, architecture) == ERRNO | errno.EACCES


def test_other_processes_of_our_user_are_asked_about(machine: str) -> None:
    """Without a user and process numbers of its own: oneself passes, whom one names is asked, all of a user never."""
    column, architecture = MACHINES[machine]
    options = seccomp.Options(same_user=True, shared=True, signals=True, asks=True)
    code, free = seccomp.program(machine, options), seccomp.program(machine)
    for pair in (*calls.ON_PROCESSES[0].values(), *calls.SIGNALS.values()):
        if pair[column] is not None:
            assert verdict(code, pair[column], architecture, 0) == ALLOW
            assert verdict(code, pair[column], architecture, 77) == ASK
            assert verdict(code, pair[column], architecture, (1 << 64) - 1) == ASK
            assert verdict(free, pair[column], architecture, 77) == ALLOW
    for (name, pair), user in zip(calls.ON_PROCESSES[1].items(), (2, 3), strict=True):
        number = pair[column] or 0
        assert verdict(code, number, architecture, user, 0) == ERRNO | errno.EPERM, name
        assert verdict(code, number, architecture, 1, 77) == ASK
        assert verdict(code, number, architecture, 1, 0) == ALLOW


def test_children_are_pinned_only_where_asked(machine: str) -> None:
    """Setting what happens at SIGCHLD succeeds without effect; asking for it, and other signals, pass."""
    column, architecture = MACHINES[machine]
    number = calls.LOOKED_AT["rt_sigaction"][column] or 0
    pinned = seccomp.program(machine, seccomp.Options(pinned=True))
    for pointer in (0x1000, 0x100000000, 0xFFFFFFFF00000000):
        assert verdict(pinned, number, architecture, 17, pointer) == ERRNO
        assert verdict(pinned, number, architecture, 15, pointer) == ALLOW
        assert verdict(seccomp.program(machine), number, architecture, 17, pointer) == ALLOW
    assert verdict(pinned, number, architecture, 17, 0) == ALLOW


def test_files_are_shortened_only_by_who_may_write(machine: str) -> None:
    """Where Landlock does not know truncation: not by name, nor by opening for reading; ordinary opening passes."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine, seccomp.Options(shared=True, truncates=True))
    number = calls.LOOKED_AT["openat"][column] or 0
    assert verdict(code, calls.LOOKED_AT["truncate"][column] or 0, architecture) == ERRNO | errno.EACCES
    for flags, passes in ((0o1000, False), (0o1001, True), (0o1102, True), (0, True), (0o2000000, True)):
        assert (verdict(code, number, architecture, 0, 0, flags) == ALLOW) == passes
        assert verdict(seccomp.program(machine), number, architecture, 0, 0, flags) == ALLOW


def test_nothing_can_be_noted_on_a_file(machine: str) -> None:
    """Leases, owners, hints, flags of the inode, its place in memory: refused; what programs do all day passes."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine)

    def answer(name: str, *arguments: int) -> int:
        return verdict(code, calls.LOOKED_AT[name][column] or 0, architecture, *arguments)

    assert {answer("fcntl", 3, command) for command in (8, 10, 15, 1024, 1026, 1036, 1038)} == {
        ERRNO | errno.EPERM
    }
    assert {answer("fcntl", 3, command) for command in (1, 2, 3, 4, 1030, 1031, 1033, 1034)} == {ALLOW}
    assert answer("ioctl", 3, 0x40086602) == ERRNO | errno.EPERM
    assert {answer("madvise", 0, 1, advice) for advice in (20, 21, 25)} == {ERRNO | errno.EINVAL}
    assert {answer("madvise", 0, 1, advice) for advice in (4, 8, 14, 15, 23)} == {ALLOW}
    assert answer("prctl", 4, 0) == ERRNO
    assert answer("prctl", 15, 0) == ALLOW
    assert {answer("preadv2", 3, 0, 1, 0, 0, flags) for flags in (0x8, 0xA)} == {ERRNO | errno.EOPNOTSUPP}
    assert {answer("preadv2", 3, 0, 1, 0, 0, flags) for flags in (0, 0x2)} == {ALLOW}
    assert answer("fadvise64", 3, 0, 0, 4) == ERRNO  # it is taken note of, and that is all
    assert {answer("fadvise64", 3, 0, 0, advice) for advice in (0, 1, 2, 3, 5)} == {ALLOW}


def test_locks_are_asked_or_refused(machine: str) -> None:
    """Who can be asked sees of which file; where nobody can, no. An agent's tools lock what they like."""
    column, architecture = MACHINES[machine]
    for options, answer in (
        (seccomp.Options(asks=True), ASK),
        (seccomp.Options(), ERRNO | errno.EACCES),
        (seccomp.Options(loopback=True), ALLOW),
    ):
        code = seccomp.program(machine, options)
        assert verdict(code, calls.LOOKED_AT["flock"][column] or 0, architecture, 3, 2) == answer
        for command in (5, 6, 7, 36, 37, 38):
            assert verdict(code, calls.LOOKED_AT["fcntl"][column] or 0, architecture, 3, command) == answer


def test_no_page_is_dropped_and_none_looked_for(machine: str) -> None:
    """Advice to forget a file's pages succeeds without effect, reads that must not fetch are refused, others pass."""
    column, architecture = MACHINES[machine]
    code = seccomp.program(machine)
    advise, read = (calls.LOOKED_AT[name][column] or 0 for name in ("fadvise64", "preadv2"))
    assert verdict(code, advise, architecture, 3, 0, 0, 4) == ERRNO
    assert {verdict(code, advise, architecture, 3, 0, 0, advice) for advice in (0, 1, 2, 3, 5)} == {ALLOW}
    assert {verdict(code, read, architecture, 3, 0, 1, 0, 0, flags) for flags in (0x8, 0x88, 0x80)} == {
        ERRNO | errno.EOPNOTSUPP
    }
    assert {verdict(code, read, architecture, 3, 0, 1, 0, 0, flags) for flags in (0, 1, 2)} == {ALLOW}


def test_buffers_of_sockets_stay_as_they_are(machine: str) -> None:
    """Asking for more succeeds without effect: five hundred pairs held gigabytes beside a limit of 64 MiB."""
    column, architecture = MACHINES[machine]
    number = calls.LOOKED_AT["setsockopt"][column] or 0
    code = seccomp.program(machine)
    assert {verdict(code, number, architecture, 3, 1, option) for option in (7, 8, 32, 33)} == {ERRNO}
    assert {verdict(code, number, architecture, 3, 1, option) for option in (2, 9, 15, 20, 21)} == {ALLOW}


def test_files_are_watched_by_no_trial(machine: str) -> None:
    """A library is one file in all namespaces: two programs could tell each other by opening it. An agent's tools,
    beside which no trial goes on, may watch their own tree."""
    column, architecture = MACHINES[machine]
    numbers = [number for call in calls.WATCHING.values() if (number := call[column]) is not None]

    def answers(options: seccomp.Options) -> set[int]:
        return {verdict(seccomp.program(machine, options), number, architecture) for number in numbers}

    for refused in (seccomp.Options(), seccomp.Options(shared=True), seccomp.Options(shared=True, loopback=True)):
        assert answers(refused) == {ERRNO | errno.EPERM}
    assert answers(seccomp.Options(loopback=True)) == {ALLOW}


def test_no_number_that_is_drawn_for_all_programs_in_turn(machine: str) -> None:
    """A socket's cookie says how many were drawn before, by whichever trial; what a socket is can still be asked."""
    column, architecture = MACHINES[machine]
    number = calls.LOOKED_AT["getsockopt"][column] or 0
    code = seccomp.program(machine)
    assert {verdict(code, number, architecture, 3, 1, option) for option in (57, 71)} == {ERRNO | errno.EPERM}
    assert {verdict(code, number, architecture, 3, 1, option) for option in (3, 4, 7, 8, 17, 38, 39)} == {ALLOW}


def test_threads_and_forks_pass_and_namespaces_do_not(machine: str) -> None:
    """clone with namespace flags is refused, clone3 does not exist, ordinary threads and forks pass."""
    column, architecture = MACHINES[machine]
    code, number = seccomp.program(machine), calls.LOOKED_AT["clone"][column]
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
    assert verdict(code, calls.LOOKED_AT["prlimit64"][column], architecture, 0) == ALLOW
    assert verdict(code, calls.LOOKED_AT["prlimit64"][column], architecture, 1) == ERRNO | errno.EPERM
    assert verdict(code, calls.LOOKED_AT["ioctl"][column], architecture, 0, 0x5412) == ERRNO | errno.EPERM
    assert verdict(code, calls.LOOKED_AT["ioctl"][column], architecture, 0, 0x5413) == ALLOW


def test_ownership_is_pretended_only_where_asked(machine: str) -> None:
    """Without a user of its own the program's chmod and chown succeed without effect; else they are real."""
    column, architecture = MACHINES[machine]
    for pair in calls.OWNERSHIP.values():
        if pair[column] is not None:
            assert verdict(seccomp.program(machine), pair[column], architecture) == ALLOW
            pretended = seccomp.program(machine, seccomp.Options(same_user=True))
            assert verdict(pretended, pair[column], architecture) == ERRNO
