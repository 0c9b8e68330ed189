"""How a predictor's time is divided, whatever it does when: from made-up times, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Observation, Outcome, Role
from harness.scoring.inference import (
    ANSWER_SECONDS,
    ARTEFACT_BYTES,
    LOAD_SECONDS,
    QUESTIONS,
    Allowance,
    AnswerMeter,
    allowance,
)
from harness.scoring.reasons import PredictorFault
from harness.scoring.settings import Scoring


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def metered(times: list[float], allowed: Allowance | None = None, questions: int = 10) -> dict[str, float]:
    """The cost of answers that arrived after so many seconds each, checked as the referee does."""
    clock = Clock()
    meter = AnswerMeter(clock, allowed)
    meter.start()
    for seconds in times:
        meter.asked += questions
        clock.seconds += seconds
        meter.answered(questions)
    meter.check()
    return meter.cost()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_no_time_is_lost(times: list[float]) -> None:
    """Loading and answering together are all of it, and neither is negative."""
    cost = metered(times)
    assert cost[LOAD_SECONDS] + cost[ANSWER_SECONDS] == pytest.approx(sum(times))
    assert cost[LOAD_SECONDS] >= 0
    assert cost[ANSWER_SECONDS] >= -1e-9


@pytest.mark.parametrize(
    ("times", "load"),
    [
        ([3.0, 1.0, 1.0, 1.0], 2.0),  # before the first answer
        ([1.0, 1.0, 9.0, 1.0], 6.0),  # a burst later on, above three times the usual
        ([1.0, 1.0, 1.0, 0.1], 0.0),
        ([5.0], 5.0),  # one answer: nothing to compare it with
        ([1.0, 2.0, 2.0, 1.5, 2.5], 0.0),  # honest unevenness
    ],
)
def test_what_is_no_usual_answer_is_loading(times: list[float], load: float) -> None:
    """Learning between two answers is loading, wherever it is hidden."""
    assert metered(times)[LOAD_SECONDS] == pytest.approx(load)


ALLOWED = Allowance(load_seconds=1.0, answer_seconds_each=0.1, floor_seconds=0.5, artefact_bytes=1)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([2.5, 0.5, 0.5, 0.5], "predictor.load_time"),
        ([0.5, 0.5, 4.0, 0.5, 0.5, 0.5], "predictor.load_time"),
        ([1.2, 1.2, 1.2, 1.2], "predictor.answer_time"),
        ([3.0], "predictor.load_time"),
    ],
)
def test_more_than_is_allowed_is_named(times: list[float], reason: str) -> None:
    with pytest.raises(PredictorFault) as fault:
        metered(times, ALLOWED)
    assert fault.value.reason == reason


@pytest.mark.parametrize("times", [[0.9, 0.01, 0.01], [1.9, 0.9, 0.9, 0.9], [0.2] * 50, [0.0, 0.0]])
def test_what_is_allowed_passes(times: list[float]) -> None:
    metered(times, ALLOWED)


def test_who_lets_us_wait_is_ended_as_soon_as_no_answer_can_be_in_time() -> None:
    """Not after minutes: a predictor that never answers has loaded for too long."""
    clock = Clock()
    meter = AnswerMeter(clock, ALLOWED)
    meter.start()
    meter.asked = 10
    clock.seconds = 1.9
    meter.look()
    clock.seconds = 2.1
    with pytest.raises(PredictorFault, match="load_time"):
        meter.look()
    assert meter.cost() == {LOAD_SECONDS: pytest.approx(2.1), ANSWER_SECONDS: 0.0, QUESTIONS: 0.0}


def seen(load: float, answers: float, size: float = 1e6) -> Observation:
    side = {LOAD_SECONDS: load, ANSWER_SECONDS: answers, QUESTIONS: 100.0, ARTEFACT_BYTES: size}
    return Observation("b", "c", Role.BASELINE, 1, Outcome.COMPLETED, 1.0, side=side)


def test_the_allowance_is_the_baselines_own() -> None:
    """The median of its trials times the factors, never below the floors; without any, there is none."""
    settings = Scoring()
    found = allowance([seen(0.5, 2.0), seen(0.6, 3.0), seen(9.0, 9.0)], settings, 10.0)
    assert found is not None
    assert found.load_seconds == pytest.approx(4 * 0.6)
    assert found.answer_seconds(1000) == pytest.approx(4 * 30.0)
    assert found.artefact_bytes == 8_000_000
    small = allowance([seen(0.001, 0.001, 10.0)], settings, 10.0)
    assert small is not None
    assert small.load_seconds == small.answer_seconds(100) == pytest.approx(0.1 + 0.02 * 10)
    assert small.artefact_bytes == 4 << 20
    assert allowance([Observation("b", "c", Role.BASELINE, 1, Outcome.COMPLETED, 1.0)], settings, 1.0) is None
