"""Every guard is needed: with any of them switched off, something that must not pass does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from guard_table import FIXTURE, attacks, judged, line_of_guards

from guards.verdicts import accept
from harness.config.setup import load
from harness.protocols import Guard
from harness.records import (
    Decision,
    Direction,
    Evidence,
    Judgement,
    Observation,
    Outcome,
    PastProposal,
    Role,
    SideLimit,
    Verdict,
)

BASE = FIXTURE.read_bytes()
OTHER = BASE.replace(b"MATRIX_LR = 0.02", b"MATRIX_LR = 0.03")
TREE = {"train.py": BASE}


def observation(seed: int, digest: str, **more: object) -> Observation:
    made = Observation(
        f"t{seed}", "c", Role.CANDIDATE, seed, Outcome.COMPLETED, 1.7 + seed / 100, artefact_sha256=digest
    )
    return replace(made, **more)


def evidence(stage: str, **more: object) -> Evidence:
    made = Evidence(
        stage, ("train.py",), TREE, {"train.py": OTHER}, manifest_before={"a": "1"}, manifest_after={"a": "1"}
    )
    return replace(made, **more)


RUN_TIME = {
    "integrity": evidence("runtime", manifest_after={"a": "2"}),
    "seed_behaviour": evidence("runtime", candidate_trials=(observation(1, "aa"), observation(2, "aa"))),
    "budget_honesty": evidence(
        "runtime", candidate_trials=(observation(1, "aa", machine={"left_processes": 1}),)
    ),
    "side_metrics": evidence(
        "promotion",
        candidate_trials=tuple(observation(n, f"a{n}", side={"wrong": 9.0 + n / 10}) for n in (1, 2)),
        baseline_trials=tuple(
            observation(n, f"b{n}", role=Role.BASELINE, side={"wrong": 5.0 + n / 100}) for n in (7, 8, 9)
        ),
        side_limits={"wrong": SideLimit(Direction.MINIMIZE, 1.0)},
    ),
    "duplicates": evidence(
        "static",
        history=(PastProposal(1, {"train.py": OTHER + b"# again\n"}, "", Decision.DISCARD, "futile"),),
    ),
}


class AlwaysAccept:
    """A guard that was switched off."""

    def __init__(self, guard: Guard) -> None:
        self.name, self.stages = guard.name, guard.stages

    def __call__(self, _: Evidence) -> Verdict:
        return accept(self.name)


def switched_off(name: str) -> Sequence[Guard]:
    return [AlwaysAccept(guard) if guard.name == name else guard for guard in line_of_guards()]


@pytest.mark.parametrize("name", [guard.name for guard in line_of_guards() if guard.name != "classification"])
def test_without_a_guard_an_attack_passes(name: str) -> None:
    """No other guard stands in for it: each one is noticed when it is gone, and stops the attack when it is there."""
    own = (
        [RUN_TIME[name]]
        if name in RUN_TIME
        else [case.evidence for case in attacks() if case.guards == (name,)]
    )
    for case in own:
        if judged(case, switched_off(name)) is None:
            verdict = judged(case, line_of_guards())
            assert verdict is not None
            assert (verdict.guard, verdict.judgement) == (name, Judgement.REJECT)
            return
    pytest.fail(f"nothing needs {name}")


def test_without_classification_the_class_is_missing() -> None:
    """The guard that only names things is noticed by the name that is missing."""
    for guard in line_of_guards():
        if guard.name == "classification":
            assert guard(evidence("static")).evidence["category"] == "hyperparameter"
            assert "category" not in AlwaysAccept(guard)(evidence("static")).evidence


def test_the_config_lists_these_guards_in_this_order() -> None:
    """conf/guards/default.yaml is what the corpus is judged by; its keys are the guards' names."""
    setup = load(["preset=smoke", "guards=default"])
    assert [guard.name for guard in setup.guards] == [guard.name for guard in line_of_guards()]
    assert [type(guard) for guard in setup.guards] == [type(guard) for guard in line_of_guards()]
    minimal = load(["preset=smoke", "guards=minimal"])
    assert [guard.name for guard in minimal.guards] == ["scope", "integrity"]


def test_every_guard_names_known_stages() -> None:
    """A guard that no stage asks would never be asked."""
    for guard in line_of_guards():
        assert guard.stages
        assert set(guard.stages) <= {"static", "runtime", "promotion"}


def test_the_cost_is_a_few_times_that_of_parsing() -> None:
    """All static guards together cost a small multiple of one parse of a 700-line script."""
    from bench_guards import long_script, measured

    assert 650 <= long_script().count("\n") <= 760
    costs = measured(5)
    assert costs["all"] < 20 * costs["parse"]
