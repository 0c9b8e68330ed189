"""Contention during a trial is noticed, by its own noise; unlike conditions are not compared."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from guards.budget_honesty import BudgetHonesty
from harness.keep.stack import Stack
from harness.records import Evidence, Judgement, Observation, Outcome, Role
from harness.task.budget import Budget
from harness.trial.conditions import alike, changed, compared, foreign_cores
from harness.trial.pulse import Pulse
from tests.session.conftest import World

LOADED = [{"pulse_seconds": 0.0020 + 0.00002 * k, "foreign_cores": 1.6 + 0.1 * k} for k in range(4)]
QUIET = [{"pulse_seconds": 0.0014, "foreign_cores": 0.1}, {"pulse_seconds": 0.00141, "foreign_cores": 0.0}]


def judged(machine: dict[str, float]) -> Judgement:
    trial = Observation("c1", "c", Role.CANDIDATE, 1, Outcome.COMPLETED, 1.0, machine=machine)
    return BudgetHonesty()(Evidence("runtime", (), {}, {}, candidate_trials=(trial,))).judgement


def test_a_candidate_on_a_freed_machine_is_disturbed() -> None:
    """A no-op that runs once the neighbours have left looks better than a loaded baseline: no evidence."""
    assert judged(compared(QUIET[0], LOADED)) is Judgement.INCONCLUSIVE
    assert judged(compared(LOADED[1], LOADED)) is Judgement.ACCEPT
    assert judged(compared(QUIET[0], QUIET)) is Judgement.ACCEPT
    assert changed(compared(QUIET[0], LOADED))


def test_a_candidate_cannot_buy_another_try_by_slowing_the_pulse() -> None:
    """Its own work is not foreign, and a slower pulse alone decides nothing; that of a trusted program does."""
    slow = compared({"pulse_seconds": 0.01, "foreign_cores": 0.05}, QUIET)
    assert slow["pulse_ratio"] < 0.2
    assert judged(slow) is Judgement.ACCEPT
    assert changed(slow)
    assert foreign_cores(3.1, cpu_seconds=30.0, wall_seconds=10.0) == pytest.approx(0.1)


def test_tolerance_comes_from_the_machines_own_noise() -> None:
    """Where trials scatter by a third, a third is no disturbance; where they agree, it is."""
    restless = [{"pulse_seconds": value} for value in (0.0010, 0.0014, 0.0020, 0.0012)]
    assert judged(compared({"pulse_seconds": 0.0009}, restless)) is Judgement.ACCEPT
    steady = [{"pulse_seconds": 0.00135}] * 4
    assert judged(compared({"pulse_seconds": 0.0009}, steady)) is Judgement.INCONCLUSIVE
    rng = np.random.default_rng(1)
    machines = [[{"pulse_seconds": float(v)} for v in row] for row in 1 + 0.1 * rng.normal(size=(500, 5))]
    alarms = sum(judged(compared(row[0], row[1:])) is Judgement.INCONCLUSIVE for row in machines)
    assert alarms <= 20  # one in a hundred, one-sided half of that


def test_what_was_not_measured_is_not_judged() -> None:
    assert compared({}, LOADED) == {}
    assert compared(QUIET[0], LOADED[:1]) == {}
    assert alike([], LOADED)
    assert alike([{}] * 3, LOADED)


def test_two_trials_a_side_are_enough_to_see_a_free_machine() -> None:
    """A race may be won after two blocks: its own scatter and that of earlier trials tell; steady ones are alike."""
    assert not alike(QUIET, LOADED[:2], LOADED)
    assert not alike(QUIET, LOADED[:2])
    assert alike(LOADED[:2], LOADED[2:], LOADED)
    rng, odd = np.random.default_rng(2), 0
    for row in 1 + 0.1 * rng.normal(size=(500, 8)):
        groups = (
            [{"pulse_seconds": float(value)} for value in row[part]]
            for part in np.split(np.arange(8), [2, 4])
        )
        odd += not alike(*groups)
    assert odd <= 15  # one in a hundred on a machine that scatters by a tenth


def test_sides_of_a_comparison_need_the_same_machine() -> None:
    assert alike(LOADED, LOADED[::-1])
    assert not alike(LOADED, [{"pulse_seconds": 0.0010, "foreign_cores": 0.0}] * 4)
    assert not alike([{"foreign_cores": 0.0}] * 3, [{"foreign_cores": 2.0}] * 3)


@pytest.mark.parametrize("clock", ["cpu", "wall"])
def test_the_pulse_beats_while_a_trial_runs(clock: str) -> None:
    """Some work of ours beside a sleeping trial: a median and, on Linux, the busy cores; nothing for a short one."""
    with Pulse(clock, every_seconds=0.01) as pulse:
        time.sleep(1.0)
    assert pulse.found()["pulse_seconds"] > 0
    assert pulse.found().get("busy_cores", 0.0) >= 0
    with Pulse(clock, every_seconds=10.0) as short:
        pass
    assert short.found() == {}


class Neighbour:
    """A machine probe of a machine whose neighbours leave after the fourth trial: from then on it is faster."""

    def __init__(self, leaves_after: int) -> None:
        self.trials, self.leaves_after = 0, leaves_after

    @contextmanager
    def beside(self, clock: str) -> Iterator[dict[str, float]]:
        assert clock in ("cpu", "wall")
        self.trials += 1
        found: dict[str, float] = {}
        yield found
        found |= LOADED[self.trials % 4] if self.trials <= self.leaves_after else QUIET[self.trials % 2]

    def warning(self) -> str:
        return ""

    def close(self) -> None: ...


def test_a_no_op_is_not_kept_because_the_neighbours_left(world: Callable[..., World]) -> None:
    """The disturbed trial is no evidence; the incumbent is asked, has changed too, and both are measured anew."""
    made = world(
        ["loss = 1.0\n# a no-op"],
        keep=Stack(),
        budget=Budget(certificate=2),
        machine_probe=Neighbour(leaves_after=4),
        guards=(BudgetHonesty(),),
    )
    session = made.session()
    session.run()
    state = session.trial_runner.state
    assert "p0001-1" in state.inconclusive
    assert any("not what it was" in notice.text for notice in state.notices)
    assert {f"baseline-{number}" for number in range(1, 5)} <= state.inconclusive
    fresh = [spec.role for spec in made.machine.runs[4:]]
    assert fresh[:2] == [Role.CANDIDATE, Role.INCUMBENT]
    assert fresh.count(Role.INCUMBENT) >= 4  # the bar is made of trials under the new conditions alone
    assert state.decided[0].reason != "inconclusive.disturbed"
