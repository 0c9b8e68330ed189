"""Whose losses are whose between decisions, and when the machine is no longer what it was."""

import numpy as np
import pytest

from harness.keep.drift import change_point, disagreement, drift
from harness.keep.noise_level import NoiseLevel, from_evidence, pooled
from harness.keep.standing import Standing
from harness.records import KeepEvidence

KNOWN = NoiseLevel(1.0, 50)


def test_screening_trials_never_reach_the_noise() -> None:
    """Of a discarded candidate the later trials count; of a kept one likewise; of the baseline all."""
    standing = Standing()
    for loss in (1.0, 2.0, 3.0):
        standing = standing.with_incumbent(loss)
    standing = standing.discarded((0.0,)).discarded((0.0, 5.0)).discarded((0.0, 5.0, 7.0))
    assert standing.evidence().configurations == ((5.0, 7.0),)
    kept = standing.kept((-9.0, 0.0, 2.0), margin=0.5)
    assert kept.evidence().configurations == ((5.0, 7.0), (1.0, 2.0, 3.0))
    evidence = kept.evidence()
    assert (evidence.incumbent, evidence.incumbent_screening) == ((-9.0, 0.0, 2.0), 1)
    assert (evidence.incumbent_selected, evidence.margin_spent, evidence.decisions_made) == (3, 0.5, 4)
    level = from_evidence(evidence)
    assert level is not None
    assert (level.sd**2 * level.df, level.df) == pytest.approx((2.0 + 2.0 + 2.0, 4))


def test_a_stack_is_certified_or_taken_back_whole() -> None:
    """Two provisional keeps, then a race: what wins is the incumbent, and every loss stays in the noise's pool."""
    standing = Standing().with_incumbent(1.0).with_incumbent(3.0)
    standing = standing.kept((0.5,), provisional=True).with_incumbent(1.5)
    standing = standing.kept((0.0,), provisional=True).with_incumbent(0.7)
    seen = standing.evidence()
    assert (seen.provisional, seen.certified, seen.incumbent) == (2, (1.0, 3.0), (0.0, 0.7))
    racing = standing.with_certified(2.0).with_head(0.8).with_head(0.6)
    assert (racing.evidence().step_certified, racing.evidence().step_head) == ((2.0,), (0.8, 0.6))
    certified, rolled_back = racing.settled(certify=True), racing.settled(certify=False)
    assert certified.evidence().incumbent == (0.0, 0.7, 0.8, 0.6)
    assert certified.evidence().configurations == ((1.0, 3.0, 2.0),)
    assert rolled_back.evidence().incumbent == (1.0, 3.0, 2.0)
    assert rolled_back.evidence().configurations == ((0.7, 0.8, 0.6),)
    assert rolled_back.evidence().incumbent_selected == 0
    assert (certified.races, rolled_back.races) == ((True,), (False,))
    assert (certified.provisional, rolled_back.provisional) == (0, 0)


def test_decisions_since_the_incumbent_was_run() -> None:
    standing = Standing().with_incumbent(1.0).discarded((2.0,)).discarded(())
    assert standing.evidence().decisions_since_incumbent == 2
    assert standing.with_incumbent(1.0).evidence().decisions_since_incumbent == 0
    assert standing.kept((0.5,)).evidence().decisions_since_incumbent == 0


def test_prior_counts_by_its_degrees_of_freedom() -> None:
    assert pooled((), 2.0, 10) == NoiseLevel(2.0, 10)
    assert pooled(((0.0, 2.0),), 2.0, 3) == NoiseLevel((14 / 4) ** 0.5, 4)
    assert pooled(((1.0,),)) is None
    assert pooled(((0.1,) * 7,)) == NoiseLevel(0.0, 6)


def test_a_jump_raises_the_alarm() -> None:
    found = change_point((0.0, 0.5, -0.5, 0.0, 6.0, 5.5), KNOWN)
    assert found is not None
    assert (found.before, found.shift > 5, found.z > 4) == (4, True, True)
    assert "worse than its first 4" in found.text
    assert change_point((0.0, 0.5, -0.5), KNOWN) is None


def test_steady_machines_raise_it_rarely() -> None:
    """One false alarm in a thousand checks; 3000 sequences of eight trials may have at most eleven."""
    rng = np.random.default_rng(1)
    alarms = sum(
        change_point(losses, NoiseLevel(1.0, 10_000)) is not None
        for losses in rng.normal(size=(3000, 8)).tolist()
    )
    assert alarms <= 11


def test_losses_that_were_selected_raise_no_alarm() -> None:
    """A kept candidate's own trials are lucky ones: that fresh trials look worse is no drift."""
    losses = (-5.0, -5.0, 0.0, 0.1, -0.1, 0.0)
    assert drift(KeepEvidence(losses, (), incumbent_selected=2), KNOWN) is None
    assert drift(KeepEvidence(losses, ()), KNOWN) is not None


def test_two_batches_can_be_compared() -> None:
    """For fresh trials of a baseline at the session's end against those at its start."""
    assert abs(disagreement((0.0, 0.1), (0.1, 0.0), KNOWN).z) < 0.1
    assert disagreement((0.0, 0.1), (-4.0, -4.1), KNOWN).z < -3
