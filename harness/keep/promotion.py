"""Checks that only a candidate which would be kept is worth: they cost trials."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.records import Observation
from harness.task.shuffled_control import Placebo
from harness.task.task import Task


@dataclass(frozen=True, slots=True)
class Promotion:
    """same_seed: run one seed a second time, where the task says what that must give. placebo: train shortly on
    shuffled data, too; knowledge that is smuggled in through the source shows there. placebo_share,
    placebo_repeats, placebo_margin: see harness.task.shuffled_control.Placebo.
    """

    same_seed: bool = True
    placebo: bool = False
    placebo_share: float = 0.1
    placebo_repeats: int = 3
    placebo_margin: float = 0.25
    check: Placebo = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError for settings of the placebo check that cannot be meant."""
        check = Placebo(self.placebo_share, self.placebo_repeats, margin=self.placebo_margin)
        object.__setattr__(self, "check", check)

    def wants_repeat(self, task: Task, trials: Sequence[Observation]) -> bool:
        return self.same_seed and task.determinism != "none" and len(trials) > 0
