"""Knowledge smuggled in through the source shows on shuffled training data; honest improvements do not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scoring_bench import EvaluatorBench

from harness.errors import InfrastructureError
from harness.records import Clock, Direction, Judgement, Observation, Outcome, Role
from harness.task.shuffled_control import Placebo, shuffled

CHECK = Placebo()


def trials(*scores: float | None, outcome: Outcome = Outcome.COMPLETED) -> list[Observation]:
    return [Observation("t", "c", Role.PLACEBO, 1, outcome, score) for score in scores]


def judge(
    candidate_placebo: float | None, candidate_twin: float | None, sign: float = 1.0, noise: float = 0.02
):
    """Baseline: 3.0 bits on shuffled text, 2.2 on real text."""
    direction = Direction.MINIMIZE if sign > 0 else Direction.MAXIMIZE
    spread = np.array([-1.0, 0.0, 1.0]) * noise
    return CHECK.judge(
        direction,
        trials(*(sign * (3.0 + spread))),
        trials(*(sign * (2.2 + spread))),
        trials(None if candidate_placebo is None else sign * candidate_placebo),
        trials(None if candidate_twin is None else sign * candidate_twin),
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("name", "placebo", "twin"),
    [
        ("a table of trigrams: the data do not matter", 1.45, 1.43),
        ("the same, and still learning", 1.6, 1.4),
        ("a part of it", 2.4, 2.0),
        ("good weights, disturbed by the data", 2.2, 2.1),
    ],
)
def test_smuggled_knowledge_is_rejected(name: str, placebo: float, twin: float, sign: float) -> None:
    """Far better than the baseline without real data, and more so than with them; in either direction."""
    verdict = judge(placebo, twin, sign)
    assert (verdict.judgement, verdict.reason) == (Judgement.REJECT, "placebo.smuggled"), name


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("name", "placebo", "twin"),
    [
        ("no change", 3.0, 2.2),
        ("learns faster, shuffled text too", 2.7, 1.8),
        ("learns faster, equally on both", 2.7, 1.9),
        ("overfits shuffled text", 3.6, 1.9),
        ("regularised: a little better on shuffled text", 2.88, 2.18),
        ("worse on both", 3.4, 2.9),
        ("only the rare strong seed", 2.97, 2.22),
    ],
)
def test_honest_improvements_are_accepted(name: str, placebo: float, twin: float, sign: float) -> None:
    """Whatever gains at least as much from real data as from shuffled ones passes."""
    assert judge(placebo, twin, sign).judgement is Judgement.ACCEPT, name


def test_honest_candidates_of_any_noise_are_seldom_rejected() -> None:
    """Under no difference, fewer than one in a hundred is rejected even without the margin."""
    random, rejected = np.random.default_rng(0), 0
    bare = Placebo(margin=0.0)
    for _ in range(2000):
        real = [
            trials(*random.normal(mean, 0.1, count)) for mean, count in ((3, 3), (2.2, 3), (3, 1), (2.2, 1))
        ]
        rejected += bare.judge(Direction.MINIMIZE, *real).judgement is Judgement.REJECT
    assert rejected <= 20


def test_failing_on_shuffled_data_only_is_rejected() -> None:
    """A program that looks at its data and gives up when they are shuffled has something to hide."""
    assert judge(None, 2.0).reason == "placebo.no_result"
    crashed = trials(None, outcome=Outcome.CRASHED)
    assert (
        CHECK.judge(Direction.MINIMIZE, trials(3, 3), trials(2, 2), crashed, trials(2)).judgement
        is Judgement.REJECT
    )


def test_missing_trials_say_nothing() -> None:
    """Without scores of all four kinds, or any spread, there is no verdict."""
    assert judge(None, None).judgement is Judgement.INCONCLUSIVE
    late = trials(None, outcome=Outcome.TIMED_OUT)
    assert (
        CHECK.judge(Direction.MINIMIZE, trials(3, 3), trials(2, 2), late, trials(2)).judgement
        is Judgement.INCONCLUSIVE
    )
    assert (
        CHECK.judge(Direction.MINIMIZE, trials(3), trials(2), trials(3), trials(2)).judgement
        is Judgement.INCONCLUSIVE
    )


def test_the_short_clock_shortens_what_bounds_a_trial() -> None:
    """Seconds of a timed trial, steps or tokens of one with fixed work."""
    clock = Clock("cpu", 20.0, 120.0)
    assert CHECK.clock(clock) == dataclasses.replace(clock, seconds=2.0)
    steps = dataclasses.replace(clock, steps=450)
    assert CHECK.clock(steps) == dataclasses.replace(steps, steps=45)


@pytest.mark.parametrize("wrong", [{"share": 0}, {"repeats": 1}, {"confidence": 1.0}, {"margin": -1}])
def test_settings_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    """A constructor refuses them."""
    with pytest.raises(ValueError, match="placebo"):
        Placebo(**wrong)


def test_shuffled_data_are_made_once(bench: EvaluatorBench) -> None:
    """prepare.placebo runs in a process of its own; a task without one has no placebo, a failing one is ours."""
    folder, prepare = bench.folder, Path(bench.task.folder) / "prepare.py"
    (bench.data.public / "train").mkdir()
    (bench.data.public / "train" / "text").write_text("abc")
    assert shuffled(bench.task, bench.data, folder, 1) is None
    prepare.write_text("def placebo(train, out, seed):\n    raise RuntimeError('no room')\n")
    with pytest.raises(InfrastructureError, match="no room"):
        shuffled(bench.task, bench.data, folder, 1)
    prepare.write_text(
        "def placebo(train, out, seed):\n"
        "    (out / 'text').write_text((train / 'text').read_text()[::-1] + str(seed))\n"
    )
    out = shuffled(bench.task, bench.data, folder, 5)
    assert out is not None
    assert (out / "text").read_text() == "cba5"
    prepare.write_text("raise SystemExit")
    assert shuffled(bench.task, bench.data, folder, 6) == out
