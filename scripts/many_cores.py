"""What studies do on a machine with many cores: commands, or single trials, side by side, each on cores of its own.

Not for a session's own trials (that is executor.slots): these are independent of each other.
"""

import dataclasses
import json
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from seed_hunt import SandboxBench

from harness.config.setup import load
from harness.errors import UserError
from harness.records import Files
from harness.slots.this_machine import shared_out
from harness.task.prepare import prepared
from harness.trial import compiled

_GRACE_SECONDS = 45.0  # for a session to end in order; it goes on at the next call


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """arguments: of `python -m harness`. log: where its output goes, added to what is there."""

    arguments: tuple[str, ...]
    log: Path


def side_by_side(
    commands: Sequence[Command],
    processes: int,
    minutes: float | None = None,
    done: Callable[[], object] = lambda: None,
) -> list[int | None]:
    """Every command's status, `processes` at a time; None for those that were not begun within the minutes.

    What is under way then is told to end in order (SIGINT). done: called after each, by one thread at a time.
    """
    statuses: list[int | None] = [None] * len(commands)
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(commands)):
        left.put(number)
    over, telling = (time.monotonic() + 60 * minutes if minutes else float("inf")), threading.Lock()

    def work(cores: frozenset[int] | None) -> None:
        if cores:
            os.sched_setaffinity(0, cores)  # of this thread alone; what it starts inherits it
        while time.monotonic() < over:
            try:
                number = left.get_nowait()
            except queue.Empty:
                return
            statuses[number] = _ended(commands[number], over)
            with telling:
                done()

    shares = shared_out(sorted(os.sched_getaffinity(0)), processes, 1)
    threads = [threading.Thread(target=work, args=(cores,)) for cores in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _ended(command: Command, over: float) -> int:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        line = [sys.executable, "-m", "harness", *command.arguments]
        process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            return process.wait(None if over == float("inf") else max(1.0, over - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def unfinished(tags: Sequence[str], statuses: Sequence[int | None], sessions: Path) -> Iterator[str]:
    """A line for every session that did not end with 0."""
    for tag, status in zip(tags, statuses, strict=True):
        if status != 0:
            what = "not begun" if status is None else f"status {status}"
            yield f"{tag}: {what}, see {sessions}/{tag}.log"


def prepare(arguments: Sequence[str]) -> None:
    """The task's data, made once before many ask for them. Raises HarnessError."""
    setup = load([*arguments])
    prepared(setup.task, setup.budget.profile, choices=setup.data)


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One trial of a program. seed: None for a fresh one. Its loss is asked for, lower is better."""

    source: Files
    seed: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Where trials of one configuration are made. dice: see seed_hunt.DICE; gpus: a card each, in place of cores."""

    arguments: tuple[str, ...]
    dice: str = "both"
    gpus: tuple[int, ...] = ()


def together(benches: Sequence[Bench], jobs: Sequence[tuple[int, Job]], processes: int) -> Iterator[float | str]:
    """The loss of each (number of a bench, job), or why there is none, in their order, as soon as it is there.

    The jobs of all benches are one queue.
    """
    for bench in {bench.arguments: bench for bench in benches}.values():
        prepare(bench.arguments)
    context = multiprocessing.get_context("spawn")
    gpus = benches[0].gpus
    places: Any = context.Queue()
    shares = shared_out(sorted(os.sched_getaffinity(0)), processes, 1)
    for number, cores in enumerate(shares):
        places.put((cores, gpus[number % len(gpus)] if gpus else None))
    with tempfile.TemporaryDirectory(prefix="compiled-") as compiled:
        given = (places, tuple(benches), compiled)
        with ProcessPoolExecutor(processes, context, _open, given) as pool:
            yield from pool.map(_loss, jobs)


class _Place:
    """A process of the pool: the cores that it has, and the benches that it has opened on them."""

    benches: tuple[Bench, ...] = ()
    compiled = Path()  # what programs compile, of all places
    gpu: int | None = None
    opened: dict[int, SandboxBench] = {}  # noqa: RUF012 -- there is one place a process
    stack = ExitStack()


def _open(places: Any, benches: tuple[Bench, ...], compiled: str) -> None:
    cores, _Place.gpu = places.get()
    if cores:
        os.sched_setaffinity(0, cores)
    _Place.benches, _Place.compiled = benches, Path(compiled)
    Finalize(None, _Place.stack.close, exitpriority=10)


def _loss(asked: tuple[int, Job]) -> float | str:
    number, job = asked
    try:
        if number not in _Place.opened:
            _Place.opened[number] = _opened(_Place.benches[number])
        return _Place.opened[number].loss(job.source, job.seed)
    except UserError as error:
        return str(error)


def _opened(asked: Bench) -> SandboxBench:
    """Where a card is used, compiled code is everybody's, and made before the first program that is not the task's."""
    folder = Path(_Place.stack.enter_context(tempfile.TemporaryDirectory(prefix="trials-")))
    own = [] if _Place.gpu is None else [f"executor.gpu={_Place.gpu}"]
    setup = load([*asked.arguments, *own])
    (folder / compiled.FOLDER).symlink_to(_Place.compiled)
    bench = SandboxBench(setup, asked.dice, folder, _Place.stack)
    if _Place.gpu is not None and not any(_Place.compiled.iterdir()):
        bench.loss(setup.task.source())
    return bench


def machine_of(processes: int) -> dict[str, object]:
    """What a study's results say of the machine under them."""
    from harness.sandbox.machine import machine

    return {**machine(), "processes": processes, "cores": len(os.sched_getaffinity(0))}


def pack(folders: Sequence[Path], file: Path) -> None:
    """The ledgers of sessions in one archive, so that a figure can be traced to its rows."""
    with tarfile.open(file, "w:xz") as archive:
        for folder in folders:
            ledger = folder / "ledger.jsonl"
            if ledger.is_file():
                archive.add(ledger, f"{folder.name}/ledger.jsonl")


def write_json(file: Path, found: object) -> None:
    """Beside it first, then renamed: a study that is ended leaves whole results."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(file)
