"""The synthetic nights of scripts/ are what the rules are measured on; the tests measure with the same."""

import pytest
import synthetic_nights


@pytest.fixture(scope="session")
def null_nights() -> list[synthetic_nights.Night]:
    """300 nights of 100 trials in which no proposal has any effect, decided by the race."""
    from harness.keep.race import Race

    return synthetic_nights.nights(Race(), "null 100", 300, seed=2026)
