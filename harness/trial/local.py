"""Trials on this machine."""

import contextlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from harness.errors import InfrastructureError, UserError
from harness.protocols import Stop
from harness.records import Files, Json, Outcome, Role, TrialResult, TrialSpec
from harness.sandbox.host.devices import permitted_gpus, why_none
from harness.sandbox.machine import machine
from harness.sandbox.open import Command, Sandbox
from harness.task.imports import early_imports
from harness.task.reorder import Reorderer
from harness.task.task import Profile, Task, TaskData
from harness.trial import salted_seeding
from harness.trial.compiled import Caches, CompiledCode, Preparation
from harness.trial.gate_keeper import TrainingFiles
from harness.trial.head_start import HeadStart
from harness.trial.seeds import derived
from harness.trial.to_gate import run_to_gate
from harness.trial.trial import Begun, TrialSetting, finish_trial, run_trial

_PACKAGE = Path(__file__).resolve().parent.parent
_PRELUDE_FOLDER = "harness/prelude"
_PRELUDE = f"{_PRELUDE_FOLDER}/sitecustomize.py"  # programs that the candidate starts import it by that name
_LOOK_SECONDS = 0.01
_GATE_PACKAGE = b'"""What of the harness travels with a candidate: the gate to its training data."""\n'


@dataclass(frozen=True, slots=True)
class Local:
    """gpu: index among the GPUs that this machine shows; None: the first one if the profile wants a GPU, else none.

    gpus: several of them, or "all"; a trial at a time on each. slots: trials at a time where no GPU is used; None: one.
    CUDA_VISIBLE_DEVICES bounds the choice of GPUs. compile_once: what a program compiles before its gate is kept for
    its later trials (compiled.py); None: where the profile uses a GPU. salted_seeding, reordering: the referee's dice,
    see `Dice`; without them a lucky seed can be written into a program and repeats.
    """

    gpu: int | None = None
    gpus: list[int] | Literal["all"] | None = None
    slots: int | None = None
    salted_seeding: bool = True
    reordering: bool = True
    compile_once: bool | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"slots is {self.slots}; it must be at least 1")
        if self.gpus is not None and self.gpu is not None:
            raise ValueError("give gpu (one) or gpus (several), not both")
        if isinstance(self.gpus, list) and (not self.gpus or len(set(self.gpus)) < len(self.gpus)):
            raise ValueError(f"gpus is {self.gpus}: name each card once")

    def cards(self, profile: Profile) -> list[int | None]:
        """One entry a trial that may be under way: the GPU that it gets, or None. Raises UserError."""
        if self.gpus is None:
            return self._on_one_card(profile)
        if not profile.gpu:
            raise UserError(
                "executor.gpus is given, and the profile uses no GPU; executor.slots=N is for processors"
            )
        if self.slots is not None and self.slots != len(self._named()):
            raise UserError("executor.slots is the number of executor.gpus; leave it out")
        return list(self._named())

    def _on_one_card(self, profile: Profile) -> list[int | None]:
        if profile.gpu and (self.slots or 1) > 1:
            raise UserError(
                f"executor.slots={self.slots}: trials that share a GPU slow each other; executor.gpus=all uses several"
            )
        return [self.device(profile)] * (self.slots or 1)

    def _named(self) -> list[int]:
        shown = permitted_gpus()
        named = shown if self.gpus == "all" else [int(gpu) for gpu in self.gpus or ()]
        if not named:
            raise UserError(f"executor.gpus=all wants GPUs: {why_none()}")
        if missing := [gpu for gpu in named if gpu not in shown]:
            raise UserError(f"executor.gpus={named}: this machine shows no GPU {missing[0]}, only {shown}")
        return named

    def open(
        self,
        sandbox: Sandbox,
        task: Task,
        data: TaskData,
        profile: Profile,
        folder: Path,
        placebo: Path | None = None,
        gpu: int | None = None,
    ) -> "LocalExecutor":
        """placebo: folder of shuffled training data, read at the first trial with that role. gpu: not `device`."""
        dice = Dice(task, salted=self.salted_seeding, reordered=self.reordering)
        device = self.device(profile) if gpu is None else gpu
        compiles = profile.gpu if self.compile_once is None else self.compile_once
        return LocalExecutor(sandbox, task, data, profile, folder, placebo, device, dice, compiles=compiles)

    def device(self, profile: Profile) -> int | None:
        """The GPU of everything that belongs to a trial: its training, its scoring, an agent's try of it.

        Raises UserError where the profile needs one and there is none.
        """
        if self.gpus is not None and profile.gpu:
            return self._named()[0]
        if self.gpu is not None or not profile.gpu:
            return self.gpu
        if not (permitted := permitted_gpus()):
            raise UserError(
                f"the profile needs a GPU: {why_none()}; or choose another profile, e.g. budget.profile=cpu"
            )
        return permitted[0]


class Dice:
    """What of a trial's luck the referee draws from the trial's seed: every stream of numbers, and the data's order.

    Hashes of texts, and with them the order of a set, are the same in every trial: they follow from the program alone,
    as a list that is written into it does, and an interpreter that is there before its trial has them already.
    """

    def __init__(self, task: Task, *, salted: bool, reordered: bool) -> None:
        """Raises UserError where seeding cannot be salted."""
        self._salted = salted and not task.unsalted_because
        self._reorderer = Reorderer(task) if reordered else None
        if self._salted and not salted_seeding.supported():
            raise UserError(
                "seeding cannot be salted in this Python, only in CPython; executor.salted_seeding=false"
            )

    def environment(self, seed: int) -> dict[str, str]:
        """Of the trial's interpreter, inherited by every program that it starts."""
        if not self._salted:
            return {}
        return {
            salted_seeding.VARIABLE: f"{derived(seed, 'salt'):x}",
            "PYTHONPATH": f"{{tree}}/{_PRELUDE_FOLDER}",
        }

    @property
    def prelude(self) -> str:
        return _PRELUDE if self._salted else ""

    @property
    def files(self) -> Files:
        """What of it travels with a candidate."""
        if not self._salted:
            return {}
        return {_PRELUDE: Path(salted_seeding.__file__).read_bytes()}

    @contextlib.contextmanager
    def shuffled(self, train: Path, known: TrainingFiles, folder: Path, seed: int) -> Iterator[TrainingFiles]:
        """The training data as this trial gets them. known: as they lie in `train`. folder: for files on the way."""
        with tempfile.TemporaryDirectory(prefix="order-", dir=folder) as place:
            reorderer, order = self._reorderer, derived(seed, "order") % 2**63
            if not known.files or reorderer is None or not reorderer.reorder(train, Path(place), order):
                yield known
                return
            own = TrainingFiles(Path(place))
        with contextlib.closing(own):
            unknown = own.files.keys() - known.files.keys()
            if unknown:
                raise InfrastructureError(
                    f"reorder() wrote {', '.join(sorted(unknown))}: no such training file"
                )
            own.files = {name: own.files.get(name) or os.dup(file) for name, file in known.files.items()}
            yield own

    def close(self) -> None:
        if self._reorderer is not None:
            self._reorderer.close()


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
        dice: Dice,
        *,
        compiles: bool = False,
    ) -> None:
        self._compiled = CompiledCode(folder, _about(sandbox, profile, gpu)) if compiles else None
        self._bench = TrialSetting(sandbox, task.artefact, folder)
        self._public, self._profile, self._gpu, self._dice = data.public, profile, gpu, dice
        self._script, self._imports = task.script, early_imports(task)
        self._folders = {True: placebo, False: data.public / "train"}
        self._training: dict[bool, TrainingFiles] = {}
        self._ahead: HeadStart | None = None

    def hold_gate_until(self, settled: Callable[[], bool]) -> None:
        """From now on no trial's time begins to run before this is true; start-up goes on meanwhile."""
        self._bench = replace(self._bench, settled=settled)

    def start_ahead(self, spec: TrialSpec, source: Files) -> None:
        """That trial will be asked for next: its program starts up meanwhile and waits at its gate. Returns at once.

        It is dropped when another one is asked for. Not where billing starts with the process, nor where what a program
        compiles is kept.
        """
        self._drop()
        if self._compiled is None and self._training_files(spec.role is Role.PLACEBO)[1].files:
            self._ahead = HeadStart(spec, source, partial(self._begun, spec, source))

    @contextlib.contextmanager
    def _begun(self, spec: TrialSpec, source: Files, wanted: threading.Event) -> Iterator[Begun]:
        """Not while a score's processes are started: one thing at a time goes on beside it."""
        folder, known = self._training_files(spec.role is Role.PLACEBO)
        with self._dice.shuffled(folder, known, self._bench.folder, spec.seed) as training:
            while not (self._bench.settled() or wanted.wait(_LOOK_SECONDS)):
                pass
            command = self._command(spec, source, spec.seed)
            with Begun(self._bench.sandbox, spec.clock, command, training) as begun:
                yield begun

    def _drop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        """Returns when the process tree is gone and the artefact is ours. Raises UserError for a missing GPU."""
        if self._ahead is None:
            return self._from_its_start(spec, source, stop)
        try:
            with contextlib.closing(self._ahead) as ahead:
                begun = ahead.taken(spec, source)
                result = finish_trial(self._bench, spec, begun, stop) if begun else None
        except (InfrastructureError, OSError) as error:
            level = self._bench.sandbox.level
            return TrialResult(spec.trial_id, Outcome.INFRA_FAILED, "sandbox", log=str(error), level=level)
        finally:
            self._ahead = None
        return _explained(result, spec, self._bench) if result else self._from_its_start(spec, source, stop)

    def _from_its_start(self, spec: TrialSpec, source: Files, stop: Stop | None) -> TrialResult:
        placebo = spec.role is Role.PLACEBO
        folder, known = self._training_files(placebo)
        try:
            caches = self._caches(spec, source)
            with (
                self._dice.shuffled(folder, known, self._bench.folder, spec.seed) as training,
                ExitStack() as held,
            ):
                files = [held.enter_context(path.open("rb")) for path in caches.packed]
                command = self._command(spec, source, spec.seed, tuple(file.fileno() for file in files))
                result = run_trial(self._bench, spec, command, training, stop)
            early = max(result.machine.get("early_seconds", 0.0), caches.preparation_seconds)
            return replace(
                _explained(result, spec, self._bench),
                cache=caches.kind,
                preparation_seconds=caches.preparation_seconds,
                machine={**result.machine, "early_seconds": early},
            )
        except (InfrastructureError, OSError) as error:  # of the reordering: run_trial raises neither
            level = self._bench.sandbox.level
            return TrialResult(spec.trial_id, Outcome.INFRA_FAILED, "reorder", log=str(error), level=level)

    def _command(self, spec: TrialSpec, source: Files, seed: int, caches: tuple[int, ...] = ()) -> Command:
        return Command(
            script=self._script,
            arguments=(
                *("--data", "{data}", "--out", "{out}"),
                *("--seed", str(seed), "--seconds", f"{spec.clock.seconds:g}"),
            ),
            tree={**_theirs(source), **gate_files(), **self._dice.files},
            public=self._public,
            limits=spec.limits,
            prelude=self._dice.prelude,
            environment=self._dice.environment(seed),
            caches=caches,
            gpu=self._gpu,
            threads=self._profile.threads,
            imports=self._imports,
            warm=True,
        )

    def _caches(self, spec: TrialSpec, source: Files) -> Caches:
        """A preparation's dice are its own: no trial's seed is in them, and the next preparation has others."""
        if self._compiled is None:
            return Caches()
        command = self._command(spec, source, secrets.randbits(31))
        run = partial(run_to_gate, self._bench.sandbox, command, spec.clock.startup_seconds)
        return self._compiled.before(spec.role, source, Preparation(run))

    def _training_files(self, placebo: bool) -> tuple[Path, TrainingFiles]:
        folder = self._folders[placebo]
        if folder is None:
            raise InfrastructureError("this task has no placebo data")
        if placebo not in self._training:
            self._training[placebo] = TrainingFiles(folder)
        return folder, self._training[placebo]

    def close(self) -> None:
        """End what waits, and give the training data's memory back."""
        self._drop()
        self._dice.close()
        while self._training:
            self._training.popitem()[1].close()


def _about(sandbox: Sandbox, profile: Profile, gpu: int | None) -> dict[str, Json]:
    """What besides the source decides whether compiled code can be used again."""
    facts = machine()
    return {
        "profile": asdict(profile),
        "level": sandbox.level.name,
        "gpu": None if gpu is None else gpus[gpu] if len(gpus := _listed(facts["gpus"])) > gpu else str(gpu),
        **{name: facts[name] for name in ("processor", "system", "python", "torch")},
    }


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _explained(result: TrialResult, spec: TrialSpec, bench: TrialSetting) -> TrialResult:
    """A trial that left no artefact says how long it had, what it took and what to do."""
    if result.artefact or result.reason not in ("no_artefact", "deadline", "startup", "idle", "late"):
        return result
    clock = spec.clock
    had = f"{clock.seconds:g} {'CPU ' if clock.kind == 'cpu' else ''}s from open_gate on"
    took = f"start-up took {result.startup_seconds:.1f} s, {result.billed_seconds:.1f} s were billed"
    advice = {
        "no_artefact": f"write it to --out as {bench.artefact} before the program ends",
        "startup": f"open_gate must be called within {clock.startup_seconds:g} s",
    }.get(
        result.reason,
        f"write {bench.artefact} earlier; imports, compilation and what loads them (building an optimiser) are free "
        "before open_gate and billed after it",
    )
    return replace(result, log=f"{result.log}\n[no {bench.artefact}: it had {had}; {took}. {advice}]")


def _theirs(source: Files) -> Files:
    """Without what lies where only files of ours belong: the prelude's folder comes first on the path."""
    return {name: content for name, content in source.items() if not name.startswith("harness/")}


def gate_files() -> Files:
    """The one module of ours that a candidate may import."""
    return {
        "harness/__init__.py": _GATE_PACKAGE,
        "harness/gate.py": (_PACKAGE / "gate.py").read_bytes(),
    }
