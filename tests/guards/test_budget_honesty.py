"""Only the referee's own measurements can buy another trial."""

import math

import pytest

from guards.budget_honesty import BudgetHonesty
from harness.records import Evidence, Judgement, Observation, Outcome, Role, Verdict


def trial(
    machine: dict[str, float], claims: dict[str, float] | None = None, role: Role = Role.CANDIDATE
) -> Observation:
    return Observation(
        "p0001-1",
        "c",
        role,
        1,
        Outcome.COMPLETED,
        1.7,
        machine=machine,
        claims=claims or {},
        billed_seconds=20.0,
    )


def verdict(candidate: Observation, incumbent: Observation | None = None) -> Verdict:
    others = (incumbent,) if incumbent else ()
    return BudgetHonesty()(
        Evidence("runtime", (), {}, {}, candidate_trials=(candidate,), incumbent_trials=others)
    )


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


def test_more_time_for_the_same_work_is_rejected_unless_the_machine_was_slow() -> None:
    """Who counts its own steps may take up to twice the baseline's time for them; a disturbed trial is made again."""
    assert verdict(trial({"work_ratio": 1.9})).judgement is Judgement.ACCEPT
    found = verdict(trial({"work_ratio": 2.1}))
    assert (found.judgement, found.reason) == (Judgement.REJECT, "budget.work")
    assert verdict(trial({"work_ratio": 2.1, "canary_ratio": 0.5})).judgement is Judgement.INCONCLUSIVE


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
