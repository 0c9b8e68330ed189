"""The only starter of untrusted programs: trials, predictors, agents' tools.

    level  what holds the program                                               needs
    L3     a user of its own, mount, pid, net, ipc and uts namespaces, seccomp  root with CAP_SYS_ADMIN
    L2     the same without a second user, in a user namespace                  unprivileged user namespaces
    L1     Landlock, seccomp, and (as root) a user of its own                   Landlock
    L0     nothing but an empty environment                                     --allow_unsafe

The level is measured: `open_sandbox` sends the harness's own attacks through each kind, best first, and takes the
first that blocks them all. Raw namespaces are used even where bubblewrap is installed: bubblewrap gives the same
namespaces, but not a second user, no measuring and no killing from the inside, and its set-up adds a process and its
start-up time; one path is also one path to review. Not covered at any level: side channels of the machine's caches
and clocks, bugs of the kernel and of the GPU's driver, and denial of service by heat; at L1, when the machine's own
files were last read, and which names its Unix sockets have. Which parts of the machine's files lie in its memory cannot
be asked for and nothing can be put out of it, but reading takes less time, and is another kind of page fault, where an
earlier program has read. Numbers that the kernel gives out in turn, to pipes and memory files, at L1 to
processes, tell roughly how many were taken before. Programs that run at the same time can talk through futexes on a
library's page, which are found by its inode and cannot be told from a thread's own.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.errors import SandboxUnavailable, UserError
from harness.records import Json, Level
from harness.sandbox.host.causes import cause
from harness.sandbox.host.cleaning import private_folder, sweeper
from harness.sandbox.host.command import Command, End
from harness.sandbox.host.measure import measured
from harness.sandbox.host.plans import BadTree, make_plan
from harness.sandbox.host.process import OwnLauncher, Process
from harness.sandbox.host.users import ReservedUser
from harness.sandbox.host.warm import NotWarm, WarmInterpreter, WarmInterpreters
from harness.sandbox.launcher.plan import Plan

__all__ = ["BadTree", "Command", "End", "Process", "Sandbox", "open_sandbox"]

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
_LAUNCH = f"import sys; sys.path.append({_PACKAGE_PARENT!r}); from harness.sandbox.launcher.main import main; main()"


class Sandbox:
    """Starts programs at one level. Make it with `open_sandbox`.

    mechanism: what is used. level: what that was measured to be worth (L0 where an attack got through).
    findings: per mechanism tried, attack -> was it blocked, or why nothing could be started.
    """

    def __init__(self, mechanism: Level, warm: bool = True) -> None:
        """Unproven: nothing has been tried yet. warm: whether programs may be started from warm interpreters."""
        self.mechanism, self.warm = mechanism, warm
        self.level = Level.L0
        self.certified = False
        self.findings: Mapping[str, Json] = {}
        self.interpreters = WarmInterpreters(mechanism, self._measured_in)

    def start(self, command: Command) -> Process:
        """Start; returns once the program is being executed.

        Raises UserError (no such GPU), BadTree, SandboxUnavailable, InfrastructureError.
        """
        if self.begin(command) and (interpreter := self.interpreters.find(command)):
            try:
                return self._start(command, interpreter)
            except NotWarm as error:
                self.interpreters.give_up(interpreter, str(error))
        return self._start(command, None)

    def begin(self, command: Command) -> bool:
        """Such programs will be started: returns at once, with whether it is worth waiting for them to be asked for."""
        return self.warm and command.warm and self.certified and self.interpreters.begin(command)

    def _start(self, command: Command, interpreter: WarmInterpreter | None) -> Process:
        with contextlib.ExitStack() as held:
            own_user = os.geteuid() == 0 and self.mechanism >= Level.L1
            user = held.enter_context(contextlib.closing(ReservedUser())).number if own_user else None
            folder = held.enter_context(private_folder()) if self.mechanism <= Level.L1 else ""
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            held.callback(ours.close)
            with theirs:
                plan = make_plan(
                    command, self.mechanism, folder, user, theirs.fileno(), interpreter is not None
                )
                launcher, log = _launch(plan) if interpreter is None else interpreter.launch(plan)
                held.callback(launcher.close)
            process = Process(launcher, ours, log, command.limits.log_bytes, sweeper(user), held.pop_all())
        process.warm = interpreter is not None
        process.await_start()
        return process

    def _measured_in(self, interpreter: WarmInterpreter) -> object:
        return measured(lambda command: self._start(command, interpreter))

    def close(self) -> None:
        """Ends the interpreters that wait."""
        self.interpreters.close()


def _launch(plan: Plan) -> tuple[OwnLauncher, int]:
    """The launcher, with its plan, and the read end of the pipe that takes everything it prints."""
    log_read, log_write = os.pipe()
    try:
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH],
            stdin=subprocess.PIPE,
            stdout=log_write,
            stderr=log_write,
            env={},
            cwd="/",
            pass_fds=(plan.control, *plan.kept, *plan.caches),
            start_new_session=True,  # Ctrl-C in the terminal is for the referee alone
        )
    except BaseException:
        os.close(log_read)
        raise
    finally:
        os.close(log_write)
    assert launcher.stdin
    with contextlib.suppress(BrokenPipeError), launcher.stdin as file:  # it will have said why
        file.write(plan.to_json())
    return OwnLauncher(launcher), log_read


def open_sandbox(level: str = "auto", allow_unsafe: bool = False, warm: bool = True) -> Sandbox:
    """The best isolation that this machine gives, or exactly `level` ("L0" to "L3"), measured.

    warm: whether trials and predictors may be started from interpreters that have imported their libraries.
    Raises UserError for another word, SandboxUnavailable when it is not to be had, or below L1 without
    `allow_unsafe`.
    """
    mechanisms = _mechanisms(level)
    findings: dict[str, Json] = {}
    for mechanism in mechanisms:
        sandbox = Sandbox(mechanism, warm)
        sandbox.findings = findings
        findings[mechanism.name] = result = measured(sandbox.start)
        if isinstance(result, dict) and all(result.values()) and mechanism >= Level.L1:
            sandbox.level, sandbox.certified = mechanism, True
            return sandbox
    if not allow_unsafe:
        raise SandboxUnavailable(
            f"no isolation (sandbox.level={level}): {_why_not(findings)}. `python -m harness.doctor` says more; "
            "sandbox.allow_unsafe=true goes on, with every report marked UNVERIFIED"
        )
    return sandbox  # the last that was tried


def _mechanisms(level: str) -> list[Level]:
    if level == "auto":
        return sorted(Level, reverse=True)
    if level not in Level.__members__:
        raise UserError(f"sandbox.level={level}: choose auto, {', '.join(Level.__members__)}")
    return [Level[level]]


def _why_not(findings: Mapping[str, Json]) -> str:
    """What stands in the way of each, and what cures the least demanding of them."""
    causes = {name: cause(Level[name], result) for name, result in findings.items()}
    cures = [found.cure for name, found in causes.items() if name != Level.L0.name]
    words = "; ".join(f"{name}: {found.what}" for name, found in causes.items())
    return f"{words}. What helps: {cures[-1]}" if cures else words
