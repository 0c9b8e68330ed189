"""Whether a gain holds at another budget: three words, and how often each is wrong."""

import math

import numpy as np
import pytest

from harness.keep.transfer import transfer

HEAD, BASELINE = [1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 2.1, 1.9, 2.05, 1.95]  # certified: a gain of 1


def test_the_three_words() -> None:
    """All of the gain, a part of it, none, a loss, and trials that tell nothing."""
    whole = transfer(HEAD, BASELINE, HEAD, BASELINE)
    assert (whole.word, whole.found.gain) == ("carries_over", pytest.approx(1.0))
    assert whole.lacking is not None
    assert whole.lacking > 0
    part = transfer([loss + 0.7 for loss in HEAD], BASELINE, HEAD, BASELINE)
    assert part.word == "carries_over"
    assert part.lacking is not None
    assert part.lacking < 0, "a third is there, less than half"
    assert transfer([loss + 1.0 for loss in HEAD], BASELINE, HEAD, BASELINE).word == "does_not"
    assert transfer([loss + 2.0 for loss in HEAD], BASELINE, HEAD, BASELINE).word == "does_not"
    wide = [0.0, 4.0, 1.0, 3.0, -1.0]
    assert transfer(wide, [loss + 0.2 for loss in wide], HEAD, BASELINE).word == "cannot_tell"


def test_the_scale_of_a_metric_does_not_matter() -> None:
    """Squares of tiny variances vanish, the verdict does not."""
    tiny = [[1e-100 * loss for loss in side] for side in (HEAD, BASELINE)]
    assert transfer(*tiny, *tiny).word == "carries_over"


def test_without_a_certificate_only_a_loss_is_a_no() -> None:
    """There is no share to fall short of."""
    found = transfer([loss + 1.0 for loss in HEAD], BASELINE)
    assert (found.word, found.lacking) == ("cannot_tell", None)
    assert transfer([loss + 2.0 for loss in HEAD], BASELINE).word == "does_not"


def test_a_failing_head_does_not_carry_over_and_a_failing_baseline_tells_nothing() -> None:
    failing = [None, *HEAD[1:]]
    assert transfer(failing, BASELINE, HEAD, BASELINE).word == "does_not"
    assert transfer(HEAD, failing, HEAD, BASELINE).word == "cannot_tell"
    assert transfer([math.nan, *HEAD[1:]], BASELINE).found.gain is None
    assert transfer(HEAD, BASELINE, failing, BASELINE).lacking is None, (
        "a certificate with holes gives no share"
    )


def test_without_noise_the_numbers_decide() -> None:
    assert transfer([1.0] * 5, [2.0] * 5, [1.0] * 5, [2.0] * 5).word == "carries_over"
    assert transfer([2.0] * 5, [2.0] * 5, [1.0] * 5, [2.0] * 5).word == "does_not"


@pytest.mark.parametrize(
    ("left", "wrong", "most", "right", "least"),
    [
        (0.0, "carries_over", 0.035, "does_not", 0.40),
        (1.0, "does_not", 0.005, "carries_over", 0.96),
        (0.5, "does_not", 0.035, "carries_over", 0.50),
    ],
)
def test_error_rates_at_five_trials_a_side(
    left: float, wrong: str, most: float, right: str, least: float
) -> None:
    """A certified gain of 3 sd of which `left` is there at the other budget."""
    rng, words = np.random.default_rng(22), []
    for _ in range(2000):
        own = rng.normal([[0.0], [3.0]], 1.0, (2, 5))
        there = rng.normal([[0.0], [3.0 * left]], 1.0, (2, 5))
        words.append(transfer(there[0].tolist(), there[1].tolist(), own[0].tolist(), own[1].tolist()).word)
    assert words.count(wrong) <= most * len(words)
    assert words.count(right) >= least * len(words)
