"""Cases A8, G1 and G1a as sessions: neighbours come and go, and no keep, step or certificate is made of it.

Each with its honest twin: a machine that is busy all the time, where a real gain is kept and certified.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from guards.budget_honesty import BudgetHonesty
from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.protocols import KeepRule
from harness.records import Action, Outcome, Role
from harness.session.session import Session
from harness.task.budget import Budget
from harness.trial.conditions import foreign_cores
from harness.trial.pulse import Pulse
from tests.session.conftest import World

Make = Callable[..., World]
GAIN = "loss = 0.8\n# a real one"
SMALL = Budget(certificate=3)
BUSY, FREE = (0.0020, 1.6), (0.0014, 0.1)  # seconds of a pulse, cores that others use


class Neighbours:
    """A machine probe: busy(role) says whether others are there beside a trial. Their load scatters a little."""

    def __init__(self, busy: Callable[[Role], bool]) -> None:
        self.busy, self.world, self.trials = busy, None, 0

    @contextmanager
    def beside(self, clock: str) -> Iterator[dict[str, float]]:
        del clock
        found: dict[str, float] = {}
        yield found
        self.trials += 1
        assert isinstance(self.world, World)
        seconds, cores = BUSY if self.busy(self.world.machine.runs[-1].role) else FREE
        scatter = 1 + 0.01 * (self.trials % 3)
        found |= {"pulse_seconds": seconds * scatter, "foreign_cores": cores + 0.05 * (self.trials % 3)}

    def warning(self) -> str:
        return ""

    def close(self) -> None: ...


def session_beside(world: Make, busy: Callable[[Role], bool], keep: KeepRule, *texts: str) -> Session:
    neighbours = Neighbours(busy)
    made = world(list(texts), keep=keep, budget=SMALL, machine_probe=neighbours, guards=(BudgetHonesty(),))
    neighbours.world = made  # type: ignore[assignment]  # it is asked what it runs
    session = made.session()
    session.run()
    return session


def always(role: Role) -> bool:
    del role
    return True


@pytest.mark.parametrize("keep", [Stack(), Race()], ids=["stack", "race"])
def test_a_real_gain_on_a_busy_machine_is_kept_and_certified(world: Make, keep: KeepRule) -> None:
    """The honest twin of all below: neighbours from first to last trial disturb nothing."""
    session = session_beside(world, always, keep, GAIN)
    state = session.trial_runner.state
    assert state.inconclusive == set()
    assert [proposal.level for proposal in state.decided] in (["certified"], ["keep"])
    row = state.certificate
    assert row is not None
    assert (row.passed, row.conditions_alike) == (True, True)


@pytest.mark.parametrize("keep", [Stack(), Race()], ids=["stack", "race"])
def test_neighbours_that_are_gone_whenever_a_candidate_runs(world: Make, keep: KeepRule) -> None:
    """A8: baseline and incumbent among neighbours, the candidate alone: its trials are no evidence, it is not kept."""
    session = session_beside(
        world, lambda role: role is not Role.CANDIDATE, keep, "loss = 1.0\n# a no-op", GAIN
    )
    state = session.trial_runner.state
    assert state.keeps == []
    assert {proposal.reason for proposal in state.decided} == {"inconclusive.disturbed"}
    candidates = [trial.trial_id for trial in state.trials if trial.role is Role.CANDIDATE]
    assert set(candidates) <= state.inconclusive


def test_a_race_across_unlike_conditions_certifies_no_step(world: Make) -> None:
    """The head's fresh trials without neighbours, the certified state's with them: rolled back, and told why."""
    session = session_beside(world, lambda role: role is not Role.STEP_HEAD, Stack(), GAIN)
    row = session.trial_runner.state.settlements[0]
    assert (row.action, row.reason) == (Action.ROLL_BACK, "keep.unlike_conditions")
    assert session.workspace.keeps() == []


def test_a_certificate_does_not_grow_by_neighbours_of_the_baseline(world: Make) -> None:
    """G1a: the baseline's fresh trials among neighbours, the head's without: not passed, whatever p."""
    session = session_beside(world, lambda role: role is not Role.CERTIFICATE_HEAD, Stack(), GAIN)
    row = session.trial_runner.state.certificate
    assert row is not None
    assert row.p < 0.025
    assert (row.passed, row.conditions_alike) == (False, False)


@contextmanager
def spinning(count: int) -> Iterator[list[psutil.Process]]:
    """Processes that do nothing but use a core each."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    started = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield [psutil.Process(one.pid) for one in started]
    finally:
        for one in started:
            one.kill()
            one.wait()


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(one.cpu_times().user + one.cpu_times().system for one in processes)


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="the kernel tells no busy cores here")
def test_real_neighbours_are_counted_and_a_trials_own_work_is_not() -> None:
    """What two spinning processes use while a pulse beats is in busy_cores; a trial's own would be taken off."""
    with spinning(2) as processes:
        before, began = cpu_seconds(processes), time.perf_counter()
        with Pulse("wall", every_seconds=0.05) as pulse:
            time.sleep(2.0)
            used = cpu_seconds(processes) - before
        took = time.perf_counter() - began
    found = pulse.found()
    assert used > 0
    assert found["busy_cores"] * took > 0.8 * used
    as_neighbours = foreign_cores(found["busy_cores"], 0.0, took)
    as_the_trial = foreign_cores(found["busy_cores"], used, took)
    assert as_neighbours == found["busy_cores"]
    assert as_the_trial < as_neighbours


@pytest.mark.slow
def test_digits_ends_in_time_however_busy_the_machine_is(tmp_path: Path) -> None:
    """G1: real trials of two CPU seconds beside two spinning processes a core: none is cut, each has its artefact.

    The reserve that it keeps back comes from a rehearsal on the machine as it then is.
    """
    from harness.config.setup import load
    from harness.session.rig import opened

    setup = load(["task=digits", "budget=smoke"])
    with spinning(2 * (os.cpu_count() or 1)), opened(setup, tmp_path) as rig:
        results = [rig.trial(f"loaded-{number}", setup.task.source(), number) for number in range(6)]
    assert [(result.outcome, bool(result.artefact)) for result in results] == [(Outcome.COMPLETED, True)] * 6
