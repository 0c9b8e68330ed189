"""What a trial and a whole session may use."""

from dataclasses import dataclass, replace

from harness.errors import UserError
from harness.task.task import Profile, Task


@dataclass(frozen=True, slots=True)
class Budget:
    """profile: which of the task's profiles to start from; the rest overrides it, where it is not None.

    seconds, startup_seconds, clock, memory_gib, steps: of one trial. proposals, trials, hours, dollars,
    tokens: of the session, which ends in order before one of them is passed. certificate: fresh trials
    on each side at the end, if anything was kept; 0 for none.
    """

    profile: str = "cpu"
    seconds: float | None = None
    startup_seconds: float | None = None
    clock: str | None = None
    memory_gib: float | None = None
    steps: int | None = None
    proposals: int | None = None
    trials: int | None = None
    hours: float | None = None
    dollars: float | None = None
    tokens: int | None = None
    certificate: int = 5

    def __post_init__(self) -> None:
        """Raises ValueError for a limit below 0 or a certificate without a spread."""
        for name in ("proposals", "trials", "hours", "dollars", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, it is {value}")
        if self.certificate < 0 or self.certificate == 1:
            raise ValueError("certificate must be 0 or at least 2: one trial has no spread")

    def trial_profile(self, task: Task) -> Profile:
        """The task's profile with this budget's changes. Raises UserError when the task has none of that name."""
        if self.profile not in task.profiles:
            raise UserError(
                f"task {task.name} has no profile {self.profile!r}; it has: {', '.join(sorted(task.profiles))}"
            )
        names = ("seconds", "startup_seconds", "clock", "memory_gib", "steps")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        try:
            return replace(task.profiles[self.profile], **changes)
        except ValueError as error:
            raise UserError(f"budget: {error}") from None
