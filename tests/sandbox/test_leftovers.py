"""What many trials leave behind: nothing."""

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sandbox_levels import TrialBench, processes_named

from harness.sandbox.launcher import supervise

WORD = f"left-after-trial-{os.getpid()}"
MESSY = f"""
word = {WORD!r}
for folder in (options.out, os.environ['HOME'], '/tmp', '/dev/shm', '/var/tmp'):
    tried(lambda: Path(folder, word).write_text(word))
tried(lambda: os.makedirs(os.environ['HOME'] + '/deep' + '/d' * 40))
if os.fork() == 0:
    os.setsid()
    os.execv(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(300)', word])
time.sleep(0.02)
finish()
"""


def state_of_the_machine(temporary: Path) -> dict[str, object]:
    """Everything that a trial could leave behind outside its session's folder."""
    own = os.getpid()
    keys = (
        [line.split()[-1] for line in Path("/proc/keys").read_text().splitlines()]
        if Path("/proc/keys").exists()
        else []
    )
    return {
        "processes": processes_named(WORD),
        "children": set(Path(f"/proc/{own}/task/{own}/children").read_text().split()),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "threads": set(threading.enumerate()),
        "folders": sorted(temporary.iterdir()),
        "files": [str(path) for f in ("/tmp", "/var/tmp", "/dev/shm") for path in Path(f).glob(f"{WORD}*")],
        "shared memory": sum(map(_left_behind, Path("/proc/sysvipc/shm").read_text().splitlines()[1:])),
        "keys": sum(WORD in key for key in keys),
    }


def _left_behind(segment: str) -> bool:
    """Whether who made it has ended: tests beside this one make some, too."""
    return not Path("/proc", segment.split()[4]).exists()


def open_files() -> Counter[str]:
    """Of this process."""
    return Counter(map(_kind, os.listdir("/proc/self/fd")))


def _kind(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}").split(":")[0]
    except FileNotFoundError:
        return "the listing"


def new_ones(what: str, before: dict[str, object], after: dict[str, object]) -> set[object]:
    """Taken out of both: what earlier tests have left to end may go meanwhile, which is nothing that is left."""
    first, last = before.pop(what), after.pop(what)
    assert isinstance(first, set)
    assert isinstance(last, set)
    return last - first


def _goes_on(thread: object) -> bool:
    """Python's threads alone, which all of ours are: numerical libraries end theirs at a fork and start them again."""
    assert isinstance(thread, threading.Thread)
    thread.join(10)
    return thread.is_alive()


def repeat_and_compare(bench: TrialBench, temporary: Path, times: int) -> None:
    bench.trial(MESSY)  # what is made once (caches of modules) is made now
    before, opened = state_of_the_machine(temporary), open_files()
    for _ in range(times):
        assert bench.answer(bench.trial(MESSY, gated=True)) == 0
    after = state_of_the_machine(temporary)
    assert new_ones("children", before, after) == set()
    assert not [thread for thread in new_ones("threads", before, after) if _goes_on(thread)]
    assert after == before
    assert not open_files() - opened  # what earlier tests forgot to close may be closed meanwhile


def test_ten_trials_leave_nothing(bench: TrialBench, temporary: Path) -> None:
    """No process, mount, descriptor, thread, folder, file, segment or key of ten messy trials is left."""
    repeat_and_compare(bench, temporary, 10)


ASKS_THE_CACHE = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
file = os.open(sys.executable, os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
read = os.preadv(file, [bytearray(4)], 0) + os.preadv(file, [bytearray(4)], 4, 0)

def asked(call):
    try:
        return call()
    except OSError as error:
        return -error.errno

def number(*call):
    return -ctypes.get_errno() if libc.syscall(*call) < 0 else 1

place = mmap.mmap(file, 4096, access=mmap.ACCESS_COPY)
address = ctypes.addressof(ctypes.c_char.from_buffer(place))
answers = [
    asked(lambda: os.preadv(file, [bytearray(1)], 8, os.RWF_NOWAIT)),
    libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(4096), ctypes.create_string_buffer(1)),
    number(451, file, (ctypes.c_uint64 * 2)(0, 4096), (ctypes.c_uint64 * 5)(), 0),
]
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
finish([read, *answers])
"""


def test_what_an_earlier_trial_has_read_cannot_be_asked_for(bench: TrialBench) -> None:
    """Which parts of a library lie in the machine's memory, page by page; reading and advice pass as ever."""
    read, *answers = bench.answer(bench.trial(ASKS_THE_CACHE))
    assert read == 8
    assert all(answer < 0 for answer in answers), answers


WATCHES = """
import ctypes
libc = ctypes.CDLL(None)
watcher = libc.inotify_init1(os.O_NONBLOCK)
told = libc.inotify_add_watch(watcher, json.__file__.encode(), 0xFFF)
finish([told, len(Path(json.__file__).read_text()) > 0])
"""


def test_who_opens_a_library_is_not_told(bench: TrialBench) -> None:
    """A program beside it, or the referee; to read it passes."""
    assert bench.said(WATCHES) == [-1, True]


COUNTS_COOKIES = """
import struct
one, _ = socket.socketpair()
ask = lambda option: tried(lambda: struct.unpack("I", one.getsockopt(socket.SOL_SOCKET, option, 8)[:4])[0])
finish([ask(socket.SO_TYPE), ask(57), ask(71)])
"""


def test_how_many_cookies_earlier_trials_drew_cannot_be_asked_for(bench: TrialBench) -> None:
    """One number for all sockets of the machine, which asking counts up; a socket's kind can be asked for."""
    kind = int(socket.SOCK_STREAM)
    assert bench.said(COUNTS_COOKIES) == [kind, "PermissionError", "PermissionError"]


@pytest.mark.slow
def test_a_hundred_trials_leave_nothing(bench: TrialBench, temporary: Path) -> None:
    """The same of a hundred."""
    repeat_and_compare(bench, temporary, 100)


@pytest.mark.parametrize("struck_first", [False, True])
def test_the_first_process_ends_with_its_parent_where_no_signal_comes(struck_first: bool) -> None:
    """The kernel's is lost where the parent ends before it is asked for, or in the moment in which the process looks as
    another user; the program would go on, and the referee would wait for it."""
    parent, held = os.pipe()
    ends, program_ends = os.pipe()
    control, _ = socket.socketpair()
    if struck_first:
        os.close(held)
    first = os.fork()
    if first == 0:
        with contextlib.suppress(OSError):
            os.close(held)
        os.close(program_ends)
        program = os.fork()
        if program == 0:
            os.read(ends, 1)
            os._exit(0)
        supervise.watch(program, control, wakeup=supervise.Wakeup(), parent=parent)
        os._exit(1)
    try:
        if not struck_first:
            time.sleep(0.2)
            assert os.waitpid(first, os.WNOHANG) == (0, 0)  # it stays as long as its parent does
            os.close(held)
        ended, end = (0, 0), time.monotonic() + 30
        while ended == (0, 0) and time.monotonic() < end:
            ended = os.waitpid(first, os.WNOHANG)
            time.sleep(0.01)
        assert ended == (first, 0)
    finally:
        os.close(program_ends)  # and so the program and what waits for it
        os.close(parent)
        os.close(ends)
