"""Side metrics must not get worse than a margin; noise is not held against a candidate."""

import random

import pytest

from guards.side_metrics import SideMetrics
from harness.records import Direction, Evidence, Observation, Outcome, Role, SideLimit, Verdict


def trials(values: list[float], role: Role) -> tuple[Observation, ...]:
    return tuple(
        Observation(f"t{n}", "c", role, n, Outcome.COMPLETED, 1.0, side={"recall": value})
        for n, value in enumerate(values)
    )


def verdict(own: list[float], theirs: list[float], direction: Direction = Direction.MAXIMIZE) -> Verdict:
    evidence = Evidence(
        "promotion",
        (),
        {},
        {},
        candidate_trials=trials(own, Role.CANDIDATE),
        baseline_trials=trials(theirs, Role.BASELINE),
        side_limits={"recall": SideLimit(direction, 0.02)},
    )
    return SideMetrics()(evidence)


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ([0.95, 0.96], ""),  # better
        ([0.89, 0.88], ""),  # worse, within the margin
        ([0.70, 0.72], "side_metrics.worse"),
        ([0.875], "side_metrics.more_trials"),  # just beyond it, and one trial says little
        ([0.875, 0.871, 0.879, 0.874], "side_metrics.worse"),  # four say enough
    ],
)
def test_a_maximised_metric(own: list[float], reason: str) -> None:
    """Beyond the margin by more than chance is rejected; what may be chance asks for one more trial."""
    found = verdict(own, [0.90, 0.91, 0.89, 0.90])
    assert found.reason == reason
    assert found.trials_wanted == (len(own) + 1 if reason.endswith("more_trials") else 0)


def test_a_minimised_metric_and_one_without_noise() -> None:
    """Direction counts; a metric without any spread (parameters) is compared as it is."""
    assert verdict([5.0], [5.0, 5.0, 5.0], Direction.MINIMIZE).reason == ""
    assert verdict([5.1], [5.0, 5.0, 5.0], Direction.MINIMIZE).reason == "side_metrics.worse"
    assert verdict([4.0], [5.0, 5.0, 5.0], Direction.MINIMIZE).reason == ""


def test_a_metric_that_is_not_there_rejects() -> None:
    """A limit on what evaluate() does not return is said, not passed over."""
    evidence = Evidence("promotion", (), {}, {}, side_limits={"recall": SideLimit(Direction.MAXIMIZE, 0.1)})
    assert SideMetrics()(evidence).reason == "side_metrics.missing"
    assert SideMetrics()(Evidence("promotion", (), {}, {})).reason == ""


def test_noise_alone_is_rarely_rejected() -> None:
    """A candidate of the baseline's own mean, noise as large as half the margin: at most 2 in 100 are rejected."""
    generator, rejected = random.Random(3), 0
    for _ in range(400):
        theirs = [generator.gauss(0.9, 0.01) for _ in range(4)]
        for count in (2, 3, 4):
            found = verdict([generator.gauss(0.9, 0.01) for _ in range(count)], theirs)
            if found.reason != "side_metrics.more_trials":
                break
        rejected += found.reason == "side_metrics.worse"
    assert rejected <= 8
