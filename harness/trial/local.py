"""Trials on this machine, one at a time."""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfrastructureError, UserError
from harness.protocols import Stop
from harness.records import Files, Role, TrialResult, TrialSpec
from harness.sandbox.host.devices import permitted_gpus
from harness.sandbox.open import Command, Sandbox
from harness.task.task import Profile, Task, TaskData
from harness.trial.gate_keeper import TrainingFiles
from harness.trial.trial import Bench, run_trial

_PACKAGE = Path(__file__).resolve().parent.parent
_GATE_PACKAGE = b'"""What of the harness travels with a candidate: the gate to its training data."""\n'


@dataclass(frozen=True, slots=True)
class Local:
    """gpu: index among the GPUs that this machine shows; None: the first one if the profile wants a GPU, else none.

    CUDA_VISIBLE_DEVICES bounds that choice.
    """

    gpu: int | None = None

    def open(
        self,
        sandbox: Sandbox,
        task: Task,
        data: TaskData,
        profile: Profile,
        folder: Path,
        placebo: Path | None = None,
    ) -> "LocalExecutor":
        """placebo: folder of shuffled training data, read at the first trial with that role."""
        return LocalExecutor(sandbox, task, data, profile, folder, placebo, self.device(profile))

    def device(self, profile: Profile) -> int | None:
        """The GPU of everything that belongs to a trial: its training, its scoring, an agent's try of it.

        Raises UserError where the profile needs one and there is none.
        """
        if self.gpu is not None or not profile.gpu:
            return self.gpu
        if not (permitted := permitted_gpus()):
            raise UserError(
                "the profile needs a GPU, and this machine shows none (see nvidia-smi and CUDA_VISIBLE_DEVICES);"
                " choose another profile, e.g. budget.profile=cpu"
            )
        return permitted[0]


class LocalExecutor:
    """Implements protocols.Executor."""

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        data: TaskData,
        profile: Profile,
        folder: Path,
        placebo: Path | None,
        gpu: int | None,
    ) -> None:
        self._bench = Bench(sandbox, task.artefact, folder)
        self._public, self._profile, self._gpu = data.public, profile, gpu
        self._script = task.script
        self._folders = {True: placebo, False: data.public / "train"}
        self._training: dict[bool, TrainingFiles] = {}

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        """Returns when the process tree is gone and the artefact is ours. Raises UserError for a missing GPU."""
        command = Command(
            script=self._script,
            arguments=(
                *("--data", "{data}", "--out", "{out}"),
                *("--seed", str(spec.seed), "--seconds", f"{spec.clock.seconds:g}"),
            ),
            tree={**source, **gate_files()},
            public=self._public,
            limits=spec.limits,
            gpu=self._gpu,
            threads=self._profile.threads,
        )
        return run_trial(self._bench, spec, command, self._training_files(spec.role is Role.PLACEBO), stop)

    def _training_files(self, placebo: bool) -> TrainingFiles:
        if placebo not in self._training:
            folder = self._folders[placebo]
            if folder is None:
                raise InfrastructureError("this task has no placebo data")
            self._training[placebo] = TrainingFiles(folder)
        return self._training[placebo]

    def close(self) -> None:
        """Give the training data's memory back."""
        while self._training:
            self._training.popitem()[1].close()


def gate_files() -> Files:
    """The one module of ours that a candidate may import."""
    return {
        "harness/__init__.py": _GATE_PACKAGE,
        "harness/gate.py": (_PACKAGE / "gate.py").read_bytes(),
    }
