"""The launcher: `python -I -S -c "... main()"`, with a plan on standard input and a control socket.

Levels 2 and 3: this process unshares, its child is pid 1 of the new namespaces, and that one's child becomes
the untrusted program. When pid 1 goes, the kernel kills everything in the namespace. Levels 0 and 1: this
process is a subreaper, so that every orphan comes to it, and kills until the kernel says it has no child.
Either way the event "empty" is sent only when no descendant exists.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from harness.sandbox_launcher import kernel, mounts
from harness.sandbox_launcher.candidate import become
from harness.sandbox_launcher.folders import make_plain_folders
from harness.sandbox_launcher.plan import Plan, read_plan
from harness.sandbox_launcher.supervise import Wakeup, empty, say, watch
from harness.sandbox_launcher.watch import Meter, all_processes, descendants, proportional_bytes

_INSIDE_USER = 1000


def main() -> None:
    with open(0, "rb", closefd=False) as file:
        plan = read_plan(file.read())
    for number in (plan.control, *plan.groups, *plan.kept):
        os.set_inheritable(number, False)
    control = socket.socket(fileno=plan.control)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        _namespaced(plan, control) if plan.level >= 2 else _plain(plan, control)
    except (OSError, ValueError) as error:
        say(control, event="failed", what=str(error), number=getattr(error, "errno", None))
        sys.exit(1)


def _namespaced(plan: Plan, control: socket.socket) -> None:
    _unshare(plan)
    wakeup = Wakeup()
    first = os.fork()
    if first == 0:
        wakeup.close()
        _run_as_child(lambda: _first_process(plan, control), control)
    watch(first, control, wakeup=wakeup, listen=lambda: os.kill(first, signal.SIGKILL), look=None, seconds=1)
    say(control, event="empty", cpu_seconds=empty(lambda: None))


def _unshare(plan: Plan) -> None:
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    if plan.level == 3:
        kernel.unshare(flags)
        return
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INSIDE_USER} {user} 1"),
        ("gid_map", f"{_INSIDE_USER} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _first_process(plan: Plan, control: socket.socket) -> NoReturn:
    """Pid 1: builds the root, starts the program, measures, and takes everything along when it ends."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # at level 2 the program has our user
    out = mounts.build_root(plan)
    _send_folder(control, out)

    def look(meter: Meter) -> None:
        processes = list(all_processes())
        _look(meter, processes, ["/tmp", "/dev/shm", plan.place("out")])

    _start_and_watch(plan, control, listen=None, look=look)
    os._exit(0)


def _plain(plan: Plan, control: socket.socket) -> None:
    make_plain_folders(plan)
    _send_folder(control, os.open(plan.place("out"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    kill_all = _kill_user(plan.uid) if plan.uid is not None else _kill_descendants
    _start_and_watch(plan, control, listen=kill_all, look=lambda meter: _look(meter, descendants(), []))
    say(control, event="empty", cpu_seconds=empty(kill_all))


def _start_and_watch(
    plan: Plan, control: socket.socket, *, listen: Callable[[], None] | None, look: Callable[[Meter], None]
) -> None:
    wakeup = Wakeup()
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        wakeup.close()
        os.close(error_read)
        _run_as_child(lambda: become(plan), control, error_write)
    os.close(error_write)
    for number in plan.kept:
        os.close(number)  # our copies: the other side must see the program's end
    if not os.read(error_read, 1):  # end of file: exec has closed it
        say(control, event="started")
    status = watch(
        child, control, wakeup=wakeup, listen=listen, look=look, seconds=plan.sample_seconds
    )
    say(control, event="exited", status=status)


def _look(meter: Meter, processes: list[int], mounted: list[str]) -> None:
    meter.look(processes, mounted)


def _run_as_child(body: Callable[[], NoReturn], control: socket.socket, error_pipe: int = -1) -> NoReturn:
    """Errors here are the launcher's, before any untrusted code has run."""
    try:
        body()
    except (OSError, ValueError) as error:
        say(control, event="failed", what=str(error), number=getattr(error, "errno", None))
        if error_pipe >= 0:
            os.write(error_pipe, b"!")
    finally:
        os._exit(70)


def _send_folder(control: socket.socket, folder: int) -> None:
    socket.send_fds(control, [b'{"event": "ready"}'], [folder])
    os.close(folder)


def _kill_user(user: int) -> Callable[[], None]:
    """Kill every process of a user that nobody else on the machine has: kill(-1) misses none that forks."""

    def kill_all() -> None:
        killer = os.fork()
        if killer == 0:
            with contextlib.suppress(OSError):
                os.setresuid(user, user, user)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(killer, 0)

    return kill_all


def _kill_descendants() -> None:
    for process in descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
