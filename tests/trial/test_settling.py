"""No trial's time runs while the referee is still at what it does beside a start-up."""

import time

import pytest
from sandbox_levels import TrialBench

SAYS_WHEN = """
before = time.time()
if {gated}:
    open_gate(options.data)
finish([before, time.time()])
"""


class Settling:
    """Says no a few times, then yes, and remembers when that was."""

    def __init__(self, looks: int) -> None:
        self.left, self.since = looks, 0.0

    def __call__(self) -> bool:
        self.left -= 1
        if self.left < 0 and not self.since:
            self.since = time.time()
        return self.left < 0


@pytest.mark.parametrize("gated", [True, False])
def test_time_runs_when_the_referee_has_settled(bench: TrialBench, gated: bool) -> None:
    """With training data the gate waits; without, where billing starts with the process, the process does."""
    settling = Settling(looks=60)
    began, after = bench.said(SAYS_WHEN.format(gated=gated), gated=gated, settled=settling)
    assert settling.since
    assert (after if gated else began) >= settling.since


def test_start_up_goes_on_meanwhile(bench: TrialBench) -> None:
    """A program that never asks for its data is not kept from ending, and one that waits too long is still ended."""
    assert bench.trial("finish()", gated=True, settled=lambda: False).outcome == "completed"
    waits = bench.trial("open_gate(options.data)", gated=True, startup=0.5, settled=lambda: False)
    assert waits.reason == "startup"
