"""Claims may end a trial early; they may never do a candidate any good."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.keep.early_stop import Curve, EarlyStop, at

INCUMBENT = [[(0.25, 4.0), (0.5, 3.0), (1.0, 2.0)], [(0.25, 4.2), (0.5, 3.2), (1.0, 2.2)]]
RULE = EarlyStop(after=0.5, speed=1.5)


def test_off_unless_asked_for() -> None:
    assert not EarlyStop().is_hopeless([(1.0, 99.0)], INCUMBENT)


def test_stops_what_cannot_catch_up() -> None:
    """Half-way the incumbent has 1.0 left to gain; who needs more than one and a half times that is stopped."""
    assert not RULE.is_hopeless([(0.5, 3.5)], INCUMBENT)
    assert RULE.is_hopeless([(0.5, 3.7)], INCUMBENT)


def test_never_without_evidence() -> None:
    """Too early, no claims, claims of nonsense, or fewer than two curves to compare with: the trial goes on."""
    assert not RULE.is_hopeless([(0.4, 99.0)], INCUMBENT)
    assert not RULE.is_hopeless([], INCUMBENT)
    assert not RULE.is_hopeless([(0.6, math.nan)], INCUMBENT)
    assert not RULE.is_hopeless([(0.6, 99.0)], INCUMBENT[:1])
    assert not RULE.is_hopeless([(0.6, 99.0)], [])


@given(st.floats(0.5, 1), st.floats(-100, 100), st.floats(0, 100))
def test_claiming_to_be_worse_never_helps(share: float, loss: float, more: float) -> None:
    if RULE.is_hopeless([(share, loss)], INCUMBENT):
        assert RULE.is_hopeless([(share, loss + more)], INCUMBENT)


@given(st.floats(0, 1))
def test_curves_are_read_between_their_points(share: float) -> None:
    curve: Curve = [(0.2, 5.0), (0.6, 3.0), (0.8, 2.0)]
    assert 2.0 <= at(curve, share) <= 5.0
    assert at(curve, 0.4) == pytest.approx(4.0)


@pytest.mark.parametrize("wrong", [{"after": 0.0}, {"after": 1.5}, {"speed": 0.9}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EarlyStop(**wrong)
