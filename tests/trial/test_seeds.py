"""Seeds."""

from hypothesis import given
from hypothesis import strategies as st

from harness.trial.seeds import new_secret, trial_seed

SECRET = b"0" * 32


@given(st.text(), st.text())
def test_a_seed_follows_from_secret_and_trial_alone(one: str, other: str) -> None:
    """The same trial has the same seed, another one another; all are in 0 .. 2^31 - 1 (0 is a good seed)."""
    one, other = (text.encode("utf-8", "replace").decode() for text in (one, other))
    assert trial_seed(SECRET, one) == trial_seed(SECRET, one)
    assert 0 <= trial_seed(SECRET, one) < 2**31
    assert (trial_seed(SECRET, one) == trial_seed(SECRET, other)) == (one == other)


def test_secrets_differ_and_decide() -> None:
    """Another session, other seeds."""
    first, second = new_secret(), new_secret()
    assert trial_seed(first, "p0001-1") != trial_seed(second, "p0001-1")
