"""Several trials under way at once: the same decisions as one after the other, each trial once, whatever happens."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.ledger import chain
from harness.protocols import Stop
from harness.records import Files, TrialResult, TrialSpec
from tests.session.conftest import Machine, Recorder, World

Make = Callable[..., World]
SERIES = (
    "loss = 1.5\n# worse", "loss = 0.9\n# better", "loss = 1.01\n# hardly worse", "crash\nloss = 0.1",
    "loss = 0.995\n# a bit",
    "forbidden\nloss = 0.2", "loss = 0.7\n# much better", "loss = 0.71\n# no change", "loss = 0.7\n# none at all",
)  # fmt: skip


@dataclass
class Uneven(Machine):
    """Trials take very different times, so that they end in another order than they began."""

    at_once: int = 0
    most_at_once: int = field(default=0)

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(random.Random(spec.trial_id).uniform(0.0, 0.01))
        try:
            return super().run(spec, source, stop)
        finally:
            self.at_once -= 1


def evidence_of(world: World) -> list[tuple[object, ...]]:
    """What was decided, and on which trials, in which order."""
    state = world.session().trial_runner.state
    decided = [
        (each.number, each.ruling.decision, each.reason, each.ruling.statistics) for each in state.decided
    ]
    trials = [(trial.trial_id, trial.role, trial.seed, trial.value) for trial in state.trials]
    settled = [(row.action, row.keeps, row.head_scores, row.certified_scores) for row in state.settlements]
    return [
        *decided,
        *trials,
        *settled,
        *((row.head_scores, row.baseline_scores) for row in state.certificates),
    ]


def rules() -> list[object]:
    return [Race(), Stack(provisional_keeps=2)]


@pytest.mark.parametrize("keep", rules(), ids=["race", "stack"])
@pytest.mark.parametrize("slots", [2, 4, 16])
def test_decisions_are_those_of_one_slot(keep: object, slots: int, world: Make) -> None:
    """The same proposals, seeds, scores and decisions to the last bit, though trials end in any order."""
    one, several = world(SERIES, keep=keep), world(SERIES, keep=keep, slots=slots)
    several.machine = Uneven(several.folder)
    one.session().run()
    several.session().run()
    assert evidence_of(one) == evidence_of(several)
    assert several.machine.most_at_once > 1
    chain.check(several.folder)


def test_one_slot_writes_the_rows_that_it_always_wrote(world: Make) -> None:
    made = world(SERIES)
    tracker = Recorder()
    made.session(tracker).run()
    assert not [
        row for row in tracker.seen if row.kind == "trial_taken" or "@" in str(getattr(row, "trial_id", ""))
    ]
