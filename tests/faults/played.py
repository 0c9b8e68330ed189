"""A short session that is only played: real git, ledger, guards' seam, statistics and signals; training is a sleep.

Each sitting is a process of its own, forked from a server that has imported everything.
"""

import functools
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.commands import run
from harness.ledger.chain import FILE_NAME
from harness.ledger.interruption import ended_by_signals
from harness.ledger.rows import Row
from harness.protocols import Stop
from harness.records import Direction, Files, TrialResult, TrialSpec
from harness.session.sitting import Sitting
from harness.session.start import ended_in_a_line
from harness.task.budget import Budget
from harness.task.task import Profile, Task
from tests.session.conftest import Machine, Recorder, Script, World

BETTER, WORSE, CRASH = "loss = 0.7\n# a larger model", "loss = 1.5\n# less of it", "crash\nloss = 0.1"
FORBIDDEN = "forbidden\nloss = 0.2"
SERIES = (WORSE, BETTER, CRASH, FORBIDDEN)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.played", "git", "scipy.special"])


@dataclass
class Slow(Machine):
    """Takes a moment for each trial, so that a fault can strike in it."""

    seconds: float = field(default=0.004)

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        time.sleep(self.seconds)
        result = super().run(spec, source, stop)
        time.sleep(self.seconds)
        return result


def task_in(folder: Path) -> Task:
    """The task whose train.py is one line, `loss = X`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("task.yaml", "prepare.py", "evaluate.py", "program.md"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "train.py").write_text("loss = 1.0\n")
    return Task(
        folder=str(folder),
        metric="loss",
        direction=Direction.MINIMIZE,
        editable=("train.py",),
        profiles={"cpu": Profile(seconds=1.0)},
        artefact="model.json",
    )


@dataclass
class FullDisk(Recorder):
    """A tracker after whose row the disk has room for 40 bytes more; once those are written, there is room again.

    struck: a row, and the signal that comes with it.
    """

    folder: Path = Path()
    struck: tuple[int, int] = (-1, 0)

    def record(self, row: Row) -> None:
        if row.seq == self.struck[0]:
            signal.raise_signal(self.struck[1])
        if row.seq + 1 == self.stop_after:
            signal.signal(signal.SIGXFSZ, _make_room)  # comes with the write that fails
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size() + 40, resource.RLIM_INFINITY))

    def size(self) -> int:
        return (self.folder / FILE_NAME).stat().st_size


def _make_room(*_: object) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def start(
    folder: Path, full_at: int | None = None, struck: tuple[int, int] = (-1, 0)
) -> "multiprocessing.process.BaseProcess":
    """Begins a sitting; what it says goes to `<folder>.log`. full_at: the row at which the disk is full. struck: as
    of FullDisk."""
    process = _CONTEXT.Process(target=_sit, args=(folder, full_at, struck), daemon=True)
    process.start()
    return process


def _sit(folder: Path, full_at: int | None, struck: tuple[int, int]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # ignored, like SIGINT, in what a shell runs in the background
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    threading.Thread(
        target=_think, daemon=True
    ).start()  # an agent that looks ahead: signals may come to its thread
    code = run(functools.partial(_session, folder, full_at, struck), argv=[])
    os._exit(code)


def _think() -> None:
    while True:
        sum(range(2000))
        time.sleep(0.0005)


def _session(folder: Path, full_at: int | None, struck: tuple[int, int], _: list[str]) -> int:
    with ended_by_signals(), ended_in_a_line(folder):
        world = World(folder, task_in(folder.parent / "task"), Script(SERIES), budget=Budget(certificate=2))
        world.machine = Slow(folder)
        with Sitting(folder, lambda: world.ledger is not None and world.ledger.failed) as sitting:
            world.ended_in_order = sitting.ended_in_order
            session = world.session(FullDisk(full_at, folder=folder, struck=struck))
            sitting.settled()
            if session.trial_runner.state.ended is None:
                session.run()
        session.trial_runner.ledger.close()
        session.workspace.close()
    return 0
