"""The launcher: `python -I -S -c "... main()"`, with a plan on standard input and a control socket.

Levels 2 and 3: this process unshares, its child is pid 1 of the new namespaces, and that one's child becomes
the untrusted program. When pid 1 goes, the kernel kills everything in the namespace. Levels 0 and 1: this
process is a subreaper, so that every orphan comes to it, and kills until the kernel says it has no child.
Either way the event "empty" is sent only when no descendant exists.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from harness.sandbox.launcher import kernel, mounts, user_map
from harness.sandbox.launcher.begin import begin, close_kept, run_as_child, send_handle
from harness.sandbox.launcher.folders import make_plain_folders, remove_plain_folders, write_caches
from harness.sandbox.launcher.kill import kill_descendants, kill_namespace, kill_user
from harness.sandbox.launcher.memory import Memory, available_bytes
from harness.sandbox.launcher.plan import Plan, read_plan
from harness.sandbox.launcher.storage import PlainFolder, SizedFolders
from harness.sandbox.launcher.supervise import Kill, Wakeup, empty, say, watch
from harness.sandbox.launcher.watch import CpuMeter, all_processes, descendants, waited_seconds

_MACHINE_FLOOR_BYTES = 256 << 20


def main() -> None:
    with open(0, "rb", closefd=False) as file:
        launch(read_plan(file.read()), lambda: None)


def launch(plan: Plan, own: Callable[[], None]) -> None:
    """Returns when the program has ended. own: see begin.py. Raises Became in a program that goes on here."""
    for number in (plan.control, *plan.kept, *plan.caches):
        os.set_inheritable(number, False)
    control = socket.socket(fileno=plan.control)
    os.umask(0o022)
    if plan.cores:
        os.sched_setaffinity(0, plan.cores)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the referee's word, or its end, ends us
    try:
        _namespaced(plan, control, own) if plan.level >= 2 else _plain(plan, control, own)
    except (OSError, ValueError) as error:
        say(control, event="failed", what=str(error))
        sys.exit(1)


def _namespaced(plan: Plan, control: socket.socket, own: Callable[[], None]) -> None:
    _unshare(plan)
    wakeup, before = Wakeup(), waited_seconds()
    parent, held = os.pipe()
    first = os.fork()
    if first == 0:
        wakeup.close()
        os.close(held)
        run_as_child(lambda: _first_process(plan, control, own, parent), control)
    os.close(parent)
    close_kept(plan)
    send_handle(control, first)
    watch(first, control, wakeup=wakeup, listen=lambda: os.kill(first, signal.SIGKILL))
    say(control, event="empty", cpu_seconds=empty(lambda: None) - before)


def _unshare(plan: Plan) -> None:
    flags = (
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
    )
    if plan.level == 3:
        kernel.unshare(flags)
        return
    with user_map.prepared(plan.uid):
        kernel.unshare(flags | kernel.CLONE_NEWUSER)


def _first_process(plan: Plan, control: socket.socket, own: Callable[[], None], parent: int) -> NoReturn:
    """Pid 1: builds the root, starts the program, measures, and takes everything along when it ends.

    parent: a pipe that only our parent holds open. The signal is quicker, but is lost where the parent ends before it
    is asked for, or while we look `as_user`.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan.loopback:
        kernel.raise_loopback()
    out = mounts.build_root(plan)
    write_caches(plan, "/tmp")
    _send_folder(control, out, "ready")
    _send_folder(control, _opened("/tmp"), "temporary")
    storage = SizedFolders(["/tmp", "/dev/shm", plan.place("out")])
    _start_and_watch(
        plan, control, own, storage, list_all=all_processes, kill_all=kill_namespace, parent=parent
    )
    os._exit(0)


def _plain(plan: Plan, control: socket.socket, own: Callable[[], None]) -> None:
    make_plain_folders(plan)
    write_caches(plan, plan.place("tmp"))
    _send_folder(control, _opened(plan.place("out")), "ready")
    _send_folder(control, _opened(plan.place("tmp")), "temporary")
    storage = PlainFolder(plan.folder, plan.out_bytes + plan.temporary_bytes, plan.most_files, plan.uid)
    kill_all = kill_user(plan.uid) if plan.uid is not None else kill_descendants
    _start_and_watch(plan, control, own, storage, list_all=descendants, kill_all=kill_all)
    if not say(control, event="empty"):
        remove_plain_folders(plan)


def _start_and_watch(
    plan: Plan,
    control: socket.socket,
    own: Callable[[], None],
    storage: SizedFolders | PlainFolder,
    *,
    list_all: Callable[[], list[int]],
    kill_all: Kill,
    parent: int | None = None,
) -> None:
    """parent: as `_first_process` says; its parent listens then, and not we."""
    wakeup = Wakeup()
    child, requests = begin(plan, control, wakeup, own)
    meter, memory = CpuMeter(), Memory(plan.uid, plan.memory_bytes, plan.folder)

    def look() -> None:
        processes = list_all()
        meter.look(processes)
        memory.look(processes, storage.in_memory_bytes(), storage.devices)
        say(
            control,
            event="sample",
            cpu_seconds=meter.cpu_seconds,
            own_seconds=time.process_time(),
            memory_bytes=memory.bytes,
        )
        limit = _broken_limit(memory, storage)
        if limit:
            if memory.too_much:
                print(f"[stopped: {memory.state()}]", file=sys.stderr, flush=True)
            say(control, event="limit", what=limit)
            kill_all()

    status = watch(
        child,
        control,
        wakeup=wakeup,
        listen=kill_all if parent is None else None,
        parent=parent,
        look=look,
        requests=requests,
        seconds=plan.sample_seconds,
    )
    say(control, event="exited", status=os.waitstatus_to_exitcode(status), cpu_seconds=empty(kill_all))


def _broken_limit(memory: Memory, storage: SizedFolders | PlainFolder) -> str:
    if memory.too_much or available_bytes() < _MACHINE_FLOOR_BYTES:
        return "memory"
    return "disk" if storage.too_full(memory.unlinked_bytes, memory.sent) else ""


def _opened(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _send_folder(control: socket.socket, folder: int, event: str) -> None:
    say(control, (folder,), event=event)
    os.close(folder)
