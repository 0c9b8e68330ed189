"""What little the records compute."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Json, step_rate

STEPS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
HUGE = st.integers(300, 400).map(lambda digits: 10**digits)


@given(step=STEPS | HUGE, seconds=st.floats() | st.integers(-1, 10))
def test_a_step_rate_is_a_number_or_none(step: Json, seconds: float) -> None:
    """Whatever a candidate says of its steps: no error, no infinity, nothing that cannot be divided by."""
    rate = step_rate({"step": step}, seconds)
    assert rate is None or (math.isfinite(rate) and rate > 0)
    assert step_rate({}, seconds) is None


@pytest.mark.parametrize(
    ("step", "seconds", "rate"),
    [(100, 20.0, 5.0), (2.5, 5, 0.5), (0, 20.0, None), (True, 20.0, None), (9, 0.0, None)],
)
def test_steps_are_counted_by_the_billed_second(step: Json, seconds: float, rate: float | None) -> None:
    """A truth value is no count, and no time is no rate."""
    assert step_rate({"step": step}, seconds) == rate
