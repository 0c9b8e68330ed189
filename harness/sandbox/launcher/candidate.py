"""The last steps of the untrusted program's process before `exec`: join, limit, drop, restrict, filter."""

import os
import resource
import signal
from collections.abc import Callable
from typing import NoReturn

from harness.sandbox.launcher import kernel, landlock, seccomp
from harness.sandbox.launcher.plan import Plan
from harness.sandbox.launcher.storage import open_to_others
from harness.sandbox.launcher.supervise import Became

_KERNEL_FACTS = (
    "cpuinfo",
    "meminfo",
    "stat",
    "filesystems",
    "mounts",
    "version",
    "sys/kernel",
    "sys/vm",
    "driver",
)
_ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf")


def become(
    plan: Plan,
    counted: bool,
    asks_at: Callable[[int], object],
    own: Callable[[], None],
    ready: Callable[[], object],
) -> NoReturn:
    """Turn this process into the untrusted program. Raises OSError or ValueError when any step fails.

    counted: the kernel counts all CPU time; else every child must be waited for. asks_at: is called with the
    descriptor at which the launcher will be asked. own: makes memory of its own of what a warm interpreter has filled.
    ready: the last that is called before the program.
    """
    os.setsid()
    _close_and_keep(plan)
    _limit(plan)
    readable, writable = _landlock_paths(plan) if plan.level == 1 else ([], [])
    os.chdir(plan.place("tree"))
    os.umask(0o022)
    if plan.level > 0:
        _drop(plan)
    if plan.level == 1:
        landlock.restrict(readable, writable, plan.landlock)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    if plan.warm:
        own()
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 0)  # what `exec` would do
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    if plan.level > 0:
        _filter(_filter_options(plan, counted), asks_at)
    ready()
    if plan.warm:
        raise Became(plan)
    os.execve(plan.argv[0], list(plan.argv), plan.environment)


def _filter_options(plan: Plan, counted: bool) -> seccomp.Options:
    """What is needed beyond the common filter without a user of its own, without namespaces, without a clock."""
    return seccomp.Options(
        loopback=plan.loopback,
        same_user=plan.uid is None,
        shared=plan.level == 1,
        signals=plan.landlock < landlock.FIRST_WITH_SCOPES,
        asks=not plan.loopback,
        truncates=plan.level == 1 and plan.landlock < landlock.FIRST_WITH_TRUNCATION,
        pinned=not counted and may_pin(plan),
    )


def may_pin(plan: Plan) -> bool:
    """Whether every child can be made to be waited for. Not an agent's: its runtime lives by SIGCHLD."""
    return plan.level > 0 and not plan.loopback


def _filter(options: seccomp.Options, asks_at: Callable[[int], object]) -> None:
    """Where nobody can be asked (an old kernel, or a container that asks already), the answer is no."""
    try:
        listener = seccomp.install(options)
    except OSError:
        seccomp.install(options._replace(asks=False))
        return
    if options.asks:
        asks_at(listener)
        os.close(listener)


def _close_and_keep(plan: Plan) -> None:
    """Standard input is /dev/null, output and error are the log pipe, and only `plan.kept` goes along."""
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in plan.kept:
            try:
                os.set_inheritable(int(name), False)
            except OSError:
                continue  # the listing's own descriptor
    for number in plan.kept:
        os.set_inheritable(number, True)


def _limit(plan: Plan) -> None:
    for number, limit in plan.rlimits.items():
        hard = resource.getrlimit(int(number))[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(int(number), (value, value))
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # the machine's memory killer takes us before the referee


def _drop(plan: Plan) -> None:
    """Another user and no capability, for this program and for all that it starts."""
    keep = plan.keep_capabilities
    try:
        kernel.empty_bounding_set(keep)
    except PermissionError:
        assert not keep  # we never had CAP_SETPCAP
    if plan.uid is not None:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(plan.uid, plan.uid, plan.uid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    kernel.limit_capabilities(keep)
    for capability in range(64):
        if keep >> capability & 1:
            kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_RAISE, capability)


def _landlock_paths(plan: Plan) -> tuple[list[str], list[str]]:
    """What level 1 may open. /proc is our own entry and facts about the kernel; a GPU's driver needs all of it."""
    readable = [*plan.readable, *_ETC, "/sys/devices", plan.place("tree"), plan.place("data")]
    readable += [plan.place(name.partition("/")[0]) for name in plan.linked]
    writable = [plan.place("out"), plan.place("tmp"), *plan.device_nodes]
    writable += ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
    if plan.uid is not None and _may_share(plan.uid, plan.keep_capabilities):
        writable.append("/dev/shm")
    if plan.device_nodes:
        writable.append("/proc")
        readable += ["/sys/bus", "/sys/class", "/sys/module", "/sys/dev"]
    else:
        readable += ["/proc/self", *(f"/proc/{name}" for name in _KERNEL_FACTS)]
    return readable, writable


def _may_share(user: int, capabilities: int) -> bool:
    """Whether /dev/shm is opened. It is swept by user afterwards, and other users' files in it are closed to us.

    Where we may read everything (for the interpreter's sake) they are not: locks of multiprocessing then fail.
    """
    if capabilities:
        return False
    if opened := open_to_others("/dev/shm", user):
        os.write(2, f"[no /dev/shm for this program: {opened!r} in it is open to everybody]\n".encode())
    return not opened
