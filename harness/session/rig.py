"""Trials and scores outside a session: the same sandbox, executor and evaluator, and no ledger.

For commands that look at a task or at this machine; nothing that is measured here can be kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.protocols import Evaluator, Executor
from harness.records import Clock, Files, Observation, Outcome, Role, Score, Split, TrialResult, TrialSpec
from harness.task import golden
from harness.task.task import Profile, Task, TaskData

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.scoring.evaluator import SandboxEvaluator


@dataclass(frozen=True)
class Rig:
    """Open parts for trials and scores outside a session."""

    task: Task
    data: TaskData
    profile_name: str
    profile: Profile
    folder: Path
    executor: Executor
    evaluator: "SandboxEvaluator"
    open_evaluator: Callable[[str, Path], Evaluator]

    def trial(self, name: str, source: Files, seed: int, clock: Clock | None = None) -> TrialResult:
        """clock: another than the profile's."""
        bounds, limits = clock or self.profile.trial_clock(), self.profile.limits()
        return self.executor.run(TrialSpec(name, "", Role.NOISE, seed, bounds, limits), source)

    def score(self, result: TrialResult, source: Files, baseline: Sequence[Observation] = ()) -> Score:
        """baseline: what answers may cost comes from it, see Evaluator."""
        return self.evaluator.score(result, source, Split.VAL, baseline)

    def score_bytes(self, name: str, content: bytes, source: Files) -> Score:
        """As if a trial had left this artefact."""
        path = f"artefacts/{name}{Path(self.task.artefact).suffix}"
        (self.folder / "artefacts").mkdir(exist_ok=True)
        (self.folder / path).write_bytes(content)
        return self.score(TrialResult(name, Outcome.COMPLETED, "", artefact=path), source)


@contextmanager
def opened(setup: "Setup", folder: Path) -> Iterator[Rig]:
    """folder: for artefacts and logs. Raises UserError and SandboxUnavailable."""
    from harness.scoring.evaluator import SandboxEvaluator
    from harness.task.prepare import prepared

    if hasattr(setup.executor, "open_slots"):
        raise UserError("this command measures on this machine; leave executor=local")
    task, profile = setup.task, setup.budget.trial_profile(setup.task)
    data = prepared(task, setup.budget.profile, choices=setup.data)
    with ExitStack() as stack:
        sandbox = setup.open_sandbox()
        stack.callback(sandbox.close)
        executor = setup.executor.open(sandbox, task, data, profile, folder)
        stack.callback(executor.close)

        def evaluator_on(scored: TaskData, other: Profile, place: Path) -> SandboxEvaluator:
            gpu = setup.executor.device(other)
            return SandboxEvaluator(sandbox, task, scored, other, place, setup.scoring, gpu)

        def golden_evaluator(name: str, place: Path) -> SandboxEvaluator:
            return evaluator_on(golden.golden_data(task, name), task.profiles.get(name, profile), place)

        evaluator = evaluator_on(data, profile, folder)
        stack.callback(evaluator.close)
        name = setup.budget.profile
        yield Rig(task, data, name, profile, folder, executor, evaluator, golden_evaluator)
