"""A Python that has imported what many programs need, and from which launchers are forked. Standard library only.

It runs outside every sandbox, is one of ours, and never sees a plan: what it is sent are open files, which it hands to
a child unread. That child is the launcher (main.py), and in the end the process that would have executed a new Python
goes on in this one: everything that confines a program is done to it in the same order, by the same code.

What two forks of one process could still share is looked for before the first one: other open files, writable memory
that stays shared, threads, a driver. Any of them, and every program is started cold. What the program has of this
process's memory is copied for it at once, so that its memory is counted, and paid for, as if it had been filled anew.
"""

import contextlib
import ctypes
import errno
import gc
import importlib
import json
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence

from harness.sandbox.launcher import kernel
from harness.sandbox.launcher.main import launch
from harness.sandbox.launcher.plan import Plan, read_plan
from harness.sandbox.launcher.supervise import Became

GO, READY, REFUSED, MOST_FILES = b"go", "ready", "refused", 64
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14
_PRESENT = 1 << 63  # of a page, in /proc/self/pagemap
Range = tuple[int, int]


def serve(number: int, modules: Sequence[str], packages: Sequence[str]) -> str:
    """Import, then fork a launcher for each request; returns in a process that is to be the untrusted program.

    number: descriptor of the referee's channel; its end is ours, too. packages: library folders on the path, for which
    the program has its own. The program's prelude is returned, "" for none.
    """
    channel = socket.socket(fileno=number)
    import_all(modules)
    if problem := _problem(number):
        channel.send(json.dumps({"op": REFUSED, "what": problem}).encode())
        os._exit(1)
    pages = _own_pages()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a launcher: its end shows in its handle
    channel.send(json.dumps({"op": READY}).encode())
    while True:
        packet, files, _, _ = socket.recv_fds(channel, len(GO), MOST_FILES, socket.MSG_CMSG_CLOEXEC)
        if packet != GO:
            os._exit(0)
        child = os.fork()
        if child == 0:
            channel.close()
            return _settled(_launched(files, pages), packages)
        for file in files:
            os.close(file)
        _send_handle(channel, child)


def import_all(modules: Sequence[str]) -> None:
    """One that cannot be imported is not: whoever needs it will say so."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _send_handle(channel: socket.socket, process: int) -> None:
    handle = os.pidfd_open(process)
    socket.send_fds(channel, [GO], [handle])
    os.close(handle)


# --- what forks of this process would share ---------------------------------------------------------------------


def _problem(channel: int) -> str:
    """Why nothing may be forked from here; "" if nothing is in the way."""
    child = os.fork()  # libraries with threads of their own end them before a fork
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    if len(os.listdir("/proc/self/task")) > 1:
        return "an imported module has started threads"
    if held := _held_files(channel):
        return f"an imported module holds {', '.join(held)} open"
    if shared := [line[5] for line in _mappings() if line[1][1] == "w" and line[1][3] == "s"]:
        return f"an imported module has mapped {shared[0]} to be shared"
    try:
        _populate([_range(line) for line in _mappings() if line[5:] == ["[stack]"]])
    except OSError as error:
        return f"memory cannot be copied at once: {error}"
    return ""


def _held_files(channel: int) -> list[str]:
    names = {int(name): f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
    found = []
    for number, path in names.items():
        with contextlib.suppress(FileNotFoundError):  # the listing's own descriptor
            if number > 2 and number != channel:
                found.append(os.readlink(path))
    return found


def _mappings() -> list[list[str]]:
    """Range, permissions, offset, device, inode, name (which may be missing)."""
    with open("/proc/self/maps") as file:
        return [line.split(maxsplit=5) for line in file.read().splitlines()]


def _range(mapping: list[str]) -> Range:
    start, _, end = mapping[0].partition("-")
    return int(start, 16), int(end, 16)


# --- memory of one's own ----------------------------------------------------------------------------------------


def _own_pages() -> list[Range]:
    """Ranges of private writable memory that is in use now."""
    gc.collect()
    found: list[Range] = []
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        for mapping in _mappings():
            if mapping[1].startswith("rw-p"):
                found += _in_use(file.fileno(), *_range(mapping))
    return found


def _in_use(pagemap: int, start: int, end: int) -> list[Range]:
    size = mmap.PAGESIZE
    count = (end - start) // size
    flags = struct.unpack(f"={count}Q", os.pread(pagemap, 8 * count, start // size * 8))
    found: list[Range] = []
    for place, flag in enumerate(flags):
        if flag & _PRESENT:
            address = start + place * size
            if found and found[-1][1] == address:
                found[-1] = (found[-1][0], address + size)
            else:
                found.append((address, address + size))
    return found


def _populate(pages: Sequence[Range]) -> None:
    """Copies of our own, as if we had written there; what was given back meanwhile is passed over. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    for start, end in pages:
        failed = libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _POPULATE_WRITE)
        if failed and ctypes.get_errno() != errno.ENOMEM:
            kernel.checked("madvise", failed)


# --- the child --------------------------------------------------------------------------------------------------


def _launched(files: list[int], pages: Sequence[Range]) -> Plan:
    """Be the launcher; returns in the process that was confined and is to go on as the program."""
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        plan = _arranged(files)
        launch(plan, lambda: _populate(pages))
    except Became as confined:
        return confined.plan
    except BaseException as error:  # noqa: BLE001 -- it ends here, and its words go to the log
        if not isinstance(error, SystemExit):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    os._exit(0)


def _arranged(files: list[int]) -> Plan:
    """The plan, with every descriptor at its number: standard ones, the control socket, what the program keeps."""
    text, log, *others = files
    with open(text, "rb") as file:
        plan = read_plan(file.read())
    wanted = [plan.control, *plan.kept, *plan.caches]
    above = max(wanted) + 1
    moved = [_moved(number, above) for number in (log, *others)]
    null = os.open("/dev/null", os.O_RDONLY)
    for old, new in zip([null, moved[0], moved[0], *moved[1:]], [0, 1, 2, *wanted], strict=True):
        os.dup2(old, new)
    for number in {null, *moved} - {0, 1, 2, *wanted}:
        os.close(number)
    return plan


def _moved(number: int, above: int) -> int:
    import fcntl

    new = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, above)
    os.close(number)
    return new


# --- the program ------------------------------------------------------------------------------------------------


def _settled(plan: Plan, packages: Sequence[str]) -> str:
    """What a new Python would have found: arguments, environment, path, signals, and no module of ours."""
    _close_all_but(plan.kept)
    os.environ.clear()
    os.environ.update(plan.environment)
    sys.orig_argv = list(plan.argv)
    _show(plan.argv)
    sys.argv = list(plan.argv[plan.argv.index("-c") + 2 :])
    first = plan.environment.get("PYTHONPATH", "")
    standard = [path for path in sys.path if path not in packages]
    sys.path[:] = [*filter(None, first.split(os.pathsep)), *standard, *plan.packages, plan.place("tree")]
    if processes := sys.modules.get("multiprocessing.process"):
        processes.ORIGINAL_DIR = plan.place("tree")  # type: ignore[attr-defined] # where a new one would be
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    _reseed()
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]
    return plan.prelude


def _show(arguments: Sequence[str]) -> None:
    """As the command line that `ps` and /proc/self/cmdline give, as far as there is room."""
    with open("/proc/self/stat") as file:
        start, end = map(int, file.read().rpartition(")")[2].split()[45:47])
    line = b"".join(argument.encode("utf-8", "surrogateescape") + b"\0" for argument in arguments)
    ctypes.memmove(start, line[: end - start - 1].ljust(end - start, b"\0"), end - start)


def _reseed() -> None:
    """Shared generators start from the machine's entropy, as in a new Python; Python's own has done so in the fork."""
    if numpy := sys.modules.get("numpy.random.mtrand"):
        numpy._rand.seed()
    if torch := sys.modules.get("torch._C"):
        torch.default_generator.seed()


def _close_all_but(kept: Sequence[int]) -> None:
    below = 2
    for number in sorted(kept):
        os.closerange(below + 1, number)
        below = number
    os.closerange(below + 1, os.sysconf("SC_OPEN_MAX"))
