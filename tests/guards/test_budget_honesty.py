"""Only the referee's own measurements can buy another trial."""

import math
from typing import Literal

import pytest

from guards.budget_honesty import BudgetHonesty
from harness.records import Evidence, Judgement, Observation, Outcome, Role, Verdict


def trial(
    machine: dict[str, float],
    claims: dict[str, float] | None = None,
    role: Role = Role.CANDIDATE,
    number: int = 1,
) -> Observation:
    return Observation(
        f"p0001-{number}",
        "c",
        role,
        1,
        Outcome.COMPLETED,
        1.7,
        machine=machine,
        claims=claims or {},
        billed_seconds=20.0,
    )


def verdict(*trials: Observation, stage: Literal["runtime", "promotion"] = "runtime") -> Verdict:
    own = tuple(one for one in trials if one.role is not Role.INCUMBENT)
    others = tuple(one for one in trials if one.role is Role.INCUMBENT)
    fixed = any("work_ratio" in one.machine for one in own)
    seen = Evidence(stage, (), {}, {}, candidate_trials=own, incumbent_trials=others, fixed_work=fixed)
    return BudgetHonesty()(seen)


def test_an_undisturbed_machine_passes() -> None:
    """Speeds near the calibration are accepted; so is a trial beside which nothing was measured, with a word."""
    assert (
        verdict(trial({"canary_ratio": 0.97, "step_rate_ratio": 1.05, "foreign_processes": 0})).message == ""
    )
    unmeasured = verdict(trial({}))
    assert unmeasured.judgement is Judgement.ACCEPT
    assert "not measured" in unmeasured.message


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ({"canary_ratio": 0.7}, "budget.disturbed"),
        ({"canary_ratio": 1.3}, "budget.disturbed"),
        ({"step_rate_ratio": 0.5}, "budget.disturbed"),
        ({"energy_ratio": 1.4}, "budget.disturbed"),
        ({"canary_ratio": math.nan}, "budget.disturbed"),
        ({"foreign_processes": 1}, "budget.foreign_process"),
    ],
)
def test_a_disturbed_machine_is_measured_again(machine: dict[str, float], reason: str) -> None:
    """A busy machine is nobody's fault: inconclusive, with the trial's name. Only the candidate's trial can be
    made again, so that of the incumbent changes nothing: it would hold up every later proposal."""
    found = verdict(trial(machine))
    assert (found.judgement, found.reason) == (Judgement.INCONCLUSIVE, reason)
    assert found.evidence == {"trial_id": "p0001-1"}
    other = verdict(trial({"canary_ratio": 1.0}), trial(machine, role=Role.INCUMBENT))
    assert other.judgement is Judgement.ACCEPT


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"canary_ratio": 2.31}, "the machine was faster than calibrated (2.31 times as fast)"),
        ({"canary_ratio": 0.7}, "the machine was slower than calibrated (0.70 times as fast)"),
        ({"step_rate_ratio": 0.5}, "the baseline trained slower than calibrated (0.50 times as fast)"),
        ({"energy_ratio": 1.4}, "fixed work took more energy than calibrated (1.40 times as much)"),
        ({"foreign_shift": 0.6, "foreign_tolerance": 0.5}, "other programs used 0.6 cores more than beside"),
        (
            {"foreign_shift": -0.6, "foreign_tolerance": 0.5},
            "other programs used 0.6 cores fewer than beside",
        ),
    ],
)
def test_a_disturbance_says_which_way_and_what_follows(machine: dict[str, float], words: str) -> None:
    """Faster or slower, more or fewer, and that the trial is made again: nobody has to look up a ratio."""
    said = verdict(trial(machine)).message
    assert words in said
    assert "does not count, and another is made" in said


@pytest.mark.parametrize("machine", [{"canary_ratio": 0.7}, {"canary_ratio": 1.3}, {"foreign_processes": 1}])
def test_steps_score_the_same_on_any_machine(machine: dict[str, float]) -> None:
    """So a trial of fixed work is evidence, whatever else ran there; unless it took so long that this must be why."""
    assert verdict(trial({**machine, "work_ratio": 1.4})).judgement is Judgement.ACCEPT
    assert verdict(trial({**machine, "work_ratio": 9.0})).judgement is Judgement.INCONCLUSIVE


def slow(*ratios: float, stage: Literal["runtime", "promotion"] = "runtime") -> Verdict:
    """About a candidate whose trials took so many times the baseline's time for the same steps."""
    trials = [trial({"work_ratio": ratio}, number=number) for number, ratio in enumerate(ratios, 1)]
    return verdict(*trials, stage=stage)


@pytest.mark.parametrize(
    "ratios",
    [(20.0,), (6.1,), (3.1, 3.4), (1.0, 5.9), (1.0, 6.1), (5.9, 1.0, 5.9), (2.9, 3.2, 3.1)],
)
def test_who_counts_its_own_steps_and_takes_too_long_is_rejected(ratios: tuple[float, ...]) -> None:
    """At once where no machine explains it, else by the median: tossing a coin about cheating does not help."""
    found = slow(*ratios)
    assert (found.judgement, found.reason) == (Judgement.REJECT, "budget.work")


@pytest.mark.parametrize("ratios", [(0.5,), (3.9,), (2.0, 2.1), (3.9, 1.9), (1.1, 5.9, 1.2)])
def test_a_costly_step_is_honest_work(ratios: tuple[float, ...]) -> None:
    """Two gradients a step, a wider model, or a slow minute of the machine: nothing is rejected for it."""
    assert slow(*ratios).judgement is Judgement.ACCEPT


def test_one_slow_trial_does_not_pass_the_door_of_a_keep() -> None:
    """Before a keep a second one must say whose fault it was; a trial on a slow machine is made again."""
    found = slow(3.9, stage="promotion")
    assert (found.judgement, found.trials_wanted) == (Judgement.INCONCLUSIVE, 2)
    assert slow(3.9, 1.2, stage="promotion").judgement is Judgement.ACCEPT
    assert slow(3.9, 3.8, stage="promotion").judgement is Judgement.REJECT
    on_a_slow_machine = trial({"work_ratio": 3.9, "canary_ratio": 0.5})
    assert verdict(on_a_slow_machine).judgement is Judgement.ACCEPT
    assert verdict(on_a_slow_machine, stage="promotion").reason == "budget.disturbed"


def test_short_controls_do_not_count_as_fast_trials() -> None:
    """A trial on shuffled data does a tenth of the work; it is no excuse for the others."""
    short = trial({"work_ratio": 0.1}, role=Role.PLACEBO)
    assert verdict(trial({"work_ratio": 3.5}), trial({"work_ratio": 3.5}), short).reason == "budget.work"


def early(*seconds: float, stage: Literal["runtime", "promotion"] = "runtime", usual: float = 0.5) -> Verdict:
    """About a candidate that worked so long before the gate; the baseline works `usual`, and is billed for 20 s."""
    own = tuple(trial({"early_seconds": one}, number=number) for number, one in enumerate(seconds, 1))
    baseline = tuple(trial({"early_seconds": one}, role=Role.BASELINE) for one in (usual / 2, usual))
    return BudgetHonesty()(Evidence(stage, (), {}, {}, candidate_trials=own, baseline_trials=baseline))


@pytest.mark.parametrize("seconds", [(101.0,), (150.0,), (51.0, 60.0), (1.0, 110.0), (49.0, 60.0, 60.0)])
def test_who_learns_before_the_gate_is_rejected(seconds: tuple[float, ...]) -> None:
    """What is not billed is no place to work: data that a program makes up teach it, too."""
    found = early(*seconds)
    assert (found.judgement, found.reason) == (Judgement.REJECT, "budget.startup")


@pytest.mark.parametrize("seconds", [(0.1,), (49.0,), (90.0,), (90.0, 2.0), (30.0, 49.0)])
def test_libraries_and_a_compilation_before_the_gate_are_honest(seconds: tuple[float, ...]) -> None:
    """Below the floor, in one slow trial, or in the first one alone, which finds nothing compiled."""
    assert early(*seconds).judgement is Judgement.ACCEPT


def test_long_work_before_the_gate_is_said() -> None:
    """Below the limit nobody can tell learning from compiling: a reader sees the time, nothing is decided."""
    assert "worked 12.0 s before the gate" in early(12.0, 12.0).message
    assert early(9.0, 9.0).message == early(0.5).message == ""
    assert early(39.0, 39.0, usual=10.0).message == ""


def test_a_baseline_that_compiles_lets_others_compile() -> None:
    """Its longest start-up counts: later ones find what the first has compiled. Without any, nothing is said."""
    assert early(100.0, 90.0, usual=30.0).judgement is Judgement.ACCEPT
    assert early(250.0, usual=30.0).reason == "budget.startup"
    assert verdict(trial({"early_seconds": 500.0})).judgement is Judgement.ACCEPT
    only = early(70.0, stage="promotion")
    assert (only.judgement, only.trials_wanted) == (Judgement.INCONCLUSIVE, 2)


def test_a_process_that_is_left_is_rejected() -> None:
    """A trial that goes on after its end is the candidate's doing."""
    assert verdict(trial({"left_processes": 1})).reason == "budget.left_process"


@pytest.mark.parametrize(
    "claims", [{"seconds": 900.0}, {"seconds": -1.0}, {"step": 1e9, "loss": 0.1}, {"seconds": "no"}]
)
def test_claims_buy_nothing(claims: dict[str, float]) -> None:
    """Whatever a candidate says of itself, it gets no other try by it; times that do not fit are shown."""
    found = verdict(trial({}, claims))
    assert found.judgement is Judgement.ACCEPT
    odd = isinstance(claims.get("seconds"), float)
    assert ("claimed_seconds" in found.evidence) == odd


def test_a_claimed_step_rate_is_shown_and_decides_nothing() -> None:
    """Beside the incumbent's own, whatever it is; numbers that are none are passed over."""
    tiny = verdict(trial({}, {"step": 1e300}), trial({}, {"step": 1e-300}, Role.INCUMBENT))
    assert "claimed_step_rate_ratio" not in tiny.evidence  # no number that a ledger could hold
    incumbent = trial({}, {"step": 100}, Role.INCUMBENT)
    for step, ratio in ((250, 2.5), (1e308, 1e306), ("many", None), (True, None), (math.inf, None)):
        found = verdict(trial({}, {"step": step}), incumbent)
        assert found.judgement is Judgement.ACCEPT
        assert found.evidence.get("claimed_step_rate_ratio") == (pytest.approx(ratio) if ratio else None)
