"""Several places on this machine: a card each, or a share of the processor's cores each.

Trials on wall or CPU clocks are only comparable where a neighbour costs them nothing. A card of its own and cores of
its own give that for GPUs. CPU seconds do not: neighbours share caches and memory. So places of a processor are for
fixed work, or for a machine that is measured to keep its CPU seconds worth the same under load.
"""

import os
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import UserError
from harness.sandbox.machine import memory_bytes
from harness.sandbox.open import Sandbox
from harness.scoring.evaluator import SandboxEvaluator, Scoring
from harness.slots.local_slots import LocalSlots
from harness.slots.slot import Slot
from harness.task.task import Profile, Task, TaskData
from harness.trial.local import Local
from harness.trial.machine_probe import GpuProbe, HostProbe, MachineProbe, Unwatched

HONEST_SHARE = 0.1  # of its worth that a CPU second may lose under load
_ROUNDS = 15
_COPIED_BYTES = 32 << 20  # does not fit a core's own caches


@dataclass(frozen=True, slots=True)
class Parts:
    """What the places of a session have in common. quiet: see Slot; of the first one, where agents try edits."""

    kind: Local
    sandbox: Sandbox
    task: Task
    data: TaskData
    profile: Profile
    folder: Path
    scoring: Scoring
    placebo: Path | None
    quiet: threading.Lock


def side_by_side(parts: Parts, cards: Sequence[int | None]) -> LocalSlots:
    """cards: one entry a place. Raises UserError where trials would not be comparable or memory is short."""
    profile, fixed = parts.profile, fixed_work(parts.profile)
    shares = shared_out(sorted(os.sched_getaffinity(0)), len(cards), profile.threads)
    _check_memory(profile, len(cards))
    if cards[0] is None and not fixed:
        _check_processor(profile, shares, len(cards))
    quiet = [parts.quiet, *(threading.Lock() for _ in cards[1:])]
    places = [
        (_name(number, gpu), partial(_place, parts, _name(number, gpu), gpu, cores, lock, fixed))
        for number, (gpu, cores, lock) in enumerate(zip(cards, shares, quiet, strict=True))
    ]
    return LocalSlots(places, paired=cards[0] is not None and not fixed)


def fixed_work(profile: Profile) -> bool:
    """Whether steps or tokens bound a trial, not time."""
    return profile.steps is not None or profile.tokens is not None


def shared_out(cores: Sequence[int], places: int, threads: int) -> list[frozenset[int] | None]:
    """Cores for each place, neighbours together; None for all where there are too few to give each its threads."""
    each = len(cores) // places
    if each < threads:
        return [None] * places
    return [frozenset(cores[each * number : each * (number + 1)]) for number in range(places)]


def _name(number: int, gpu: int | None) -> str:
    return f"slot {number + 1}" if gpu is None else f"gpu {gpu}"


def _check_memory(profile: Profile, places: int) -> None:
    needed, there = places * profile.memory_gib, memory_bytes() / (1 << 30)
    if needed > there:
        raise UserError(
            f"{places} trials at a time of {profile.memory_gib:g} GiB need {needed:g} GiB, this machine has "
            f"{there:.0f}: fewer slots, or a smaller budget.memory_gib"
        )


def _check_processor(profile: Profile, shares: Sequence[frozenset[int] | None], places: int) -> None:
    if profile.clock == "wall":
        raise UserError(
            f"executor.slots={places}: trials on a wall clock that share a processor slow each other; give fixed "
            "work: budget.steps=N"
        )
    cores = [share for share in shares if share]
    if not cores:
        raise UserError(
            f"executor.slots={places}: {places} trials of {profile.threads} threads need as many cores to themselves; "
            "fewer slots, or fixed work: budget.steps=N"
        )
    if (lost := lost_under_load(cores)) > HONEST_SHARE:
        raise UserError(
            f"executor.slots={places}: with as many trials at a time a CPU second of this machine is worth "
            f"{lost:.0%} less than alone, {HONEST_SHARE:.0%} is allowed; give fixed work: budget.steps=N"
        )


def lost_under_load(shares: Sequence[frozenset[int]]) -> float:
    """Share of a CPU second's worth that is lost with every place at work: the worst of three kinds of work."""
    alone = _seconds(shares[:1])[0]
    beside = _seconds(shares)
    return max(1 - min(a / b for a, b in zip(alone, one, strict=True)) for one in beside)


def _seconds(shares: Sequence[frozenset[int]]) -> list[tuple[float, ...]]:
    """CPU seconds of each kind of work, for each place, with all of them at it."""
    import numpy as np

    found: dict[int, tuple[float, ...]] = {}
    together = threading.Barrier(len(shares))

    def work(number: int, cores: frozenset[int]) -> None:
        os.sched_setaffinity(0, cores)
        small, large = np.ones(1 << 14), np.ones(_COPIED_BYTES // 8)
        target = np.empty_like(large)
        kinds = (lambda: np.sqrt(small, small), lambda: np.copyto(target, large), lambda: np.sin(small))
        repeats = (200, 2, 20)
        together.wait()
        found[number] = tuple(
            _median(kind, count, _ROUNDS) for kind, count in zip(kinds, repeats, strict=True)
        )
        together.wait()

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in enumerate(shares)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(shares))]


def _median(kind: object, repeats: int, rounds: int) -> float:
    assert callable(kind)
    taken = []
    for _ in range(rounds):
        begin = time.thread_time()
        for _ in range(repeats):
            kind()
        taken.append(time.thread_time() - begin)
    return statistics.median(taken)


def _place(
    parts: Parts, name: str, gpu: int | None, cores: frozenset[int] | None, quiet: threading.Lock, fixed: bool
) -> Slot:
    """Called in the place's own thread, pinned before anything is started there."""
    if cores:
        os.sched_setaffinity(0, cores)
    with ExitStack() as stack:
        executor = parts.kind.open(
            parts.sandbox, parts.task, parts.data, parts.profile, parts.folder, parts.placebo, gpu
        )
        stack.callback(executor.close)
        evaluator = SandboxEvaluator(
            parts.sandbox, parts.task, parts.data, parts.profile, parts.folder, parts.scoring, gpu
        )
        stack.callback(evaluator.close)
        probe = probe_for(gpu, fixed)
        stack.callback(probe.close)
        return Slot(name, executor, evaluator, probe, cores, quiet, stack.pop_all().close, gpu)


def probe_for(gpu: int | None, fixed: bool) -> MachineProbe:
    if gpu is not None:
        return GpuProbe(gpu)
    return Unwatched() if fixed else HostProbe()
