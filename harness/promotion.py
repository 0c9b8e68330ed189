"""Checks that only a candidate which would be kept is worth: they cost trials."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.records import Observation
from harness.task import Task


@dataclass(frozen=True, slots=True)
class Promotion:
    """same_seed: run one seed a second time, where the task says what that must give. placebo: train shortly on
    shuffled text, too; knowledge that is smuggled in through the source shows there."""

    same_seed: bool = True
    placebo: bool = False

    def wants_repeat(self, task: Task, trials: Sequence[Observation]) -> bool:
        return self.same_seed and task.determinism != "none" and len(trials) > 0
