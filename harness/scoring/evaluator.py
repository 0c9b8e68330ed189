"""Scores an artefact where the candidate is not.

    session -- plan, sealed files --> referee (evaluate.py, labels, log-softmax, audits)
                                        |  tokens or items  v      ^ raw logits or answers
    session -- starts and kills --> main and cold predictor (the candidate's code and weights, each in a sandbox)

The predictors see inputs and nothing else: no labels, no training data, no name of a split; gradients are off, weights
and source are sealed. Both are new for every score, and the cold one first sees code of the candidate's when the main
one is gone, so that nothing can be whispered. Their time is billed (inference.py). What goes wrong in them is the
candidate's ("invalid"), and so is what goes wrong in evaluate.py, unless it goes wrong with an artefact that is known
to be sound, too: that, and failing to start processes, is ours ("infra_failed"). Where a process of a score ended that
no limit of ours has ended, whoever's it was, the score is made once more before it is the candidate's (deaths.py).
"""

import dataclasses
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError
from harness.records import Files, Limits, Observation, Score, Split, TrialResult
from harness.sandbox import wire
from harness.sandbox.open import Command, Sandbox
from harness.scoring import reasons
from harness.scoring.deaths import first_end
from harness.scoring.inference import ARTEFACT_BYTES, Allowance, allowance
from harness.scoring.settings import Scoring
from harness.scoring.sound_artefact import Sound, SoundArtefact
from harness.scoring.warm_pool import EvaluatorLost, Predictor, RefereeProcess, WarmPool
from harness.task.imports import early_imports, imports
from harness.task.task import Profile, Task, TaskData

__all__ = ["SandboxEvaluator", "Scoring"]

_GATE = Path(__file__).resolve().parent.parent / "gate.py"
_PREDICTORS = 2  # main and cold
_DICE_BITS = 62  # what travels as a plain number
_STRUCK = "struck"  # in an answer: it is to be asked for once more
_END_SECONDS = 20.0  # until a process has ended that hung up; most do at once
_TOLD_SECONDS = 0.5  # until one that said that it failed has
_DEFAULTS = Scoring()
_BLAME = {"evaluator.memory": reasons.MEMORY}  # our reason -> the candidate's, where it is to blame


class SandboxEvaluator:
    """Scores artefacts of one task. folder: the session's; what a failing predictor said goes to its logs/."""

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        data: TaskData,
        profile: Profile,
        folder: Path,
        settings: Scoring = _DEFAULTS,
        gpu: int | None = None,
    ) -> None:
        self._task, self._data, self._profile, self._folder, self._gpu = task, data, profile, folder, gpu
        self._settings = settings.fitted(gpu is not None)
        predictors = 0 if task.predictor == "none" else _PREDICTORS
        command = Command(
            script="",
            public=data.public,
            limits=self._limits(),
            imports=early_imports(task),
            warm=settings.warm,
            gpu=gpu,
            threads=profile.threads,
        )
        self._pool = WarmPool(
            sandbox, command, predictors=predictors, threads=self._settings.threads, warm=settings.warm
        )
        self._sound = SoundArtefact(task, profile, folder)
        self._early = command.imports
        # A predictor keeps one core busy, and its processor time is billed: what else goes on costs it nothing.
        self._starts_beside = gpu is None and profile.clock == "cpu"
        self._pool.begin()

    def _limits(self) -> Limits:
        memory = round(self._settings.memory_gib * (1 << 30)) or self._profile.limits().memory_bytes
        return dataclasses.replace(self._profile.limits(), memory_bytes=memory, out_bytes=1 << 20)

    def score(
        self, result: TrialResult, source: Files, split: Split, baseline: Sequence[Observation] = ()
    ) -> Score:
        """The task's metric for a trial's artefact. Never raises for anything that the candidate can do.

        baseline: scored trials of the unmodified task here, which say what a candidate may use; without any, caps only.
        """
        start = time.monotonic()
        allowed = allowance(baseline, self._settings, self._profile.seconds)
        try:
            answer = self._judged(result, source, split, allowed)
        except InfrastructureError as error:
            answer = _failed("infra_failed", "evaluator.unavailable", str(error))
        finally:
            self._pool.prepare()
        fields = {
            name: answer[name]
            for name in ("status", "value", "side", "reason", "detail", "items")
            if name in answer
        }
        return Score(**fields, seconds=time.monotonic() - start)

    def _judged(
        self, result: TrialResult, source: Files, split: Split, allowed: Allowance | None
    ) -> dict[str, Any]:
        size = self._size(result)
        if allowed and size > allowed.artefact_bytes:
            text = (
                f"the artefact has {size} bytes, {allowed.artefact_bytes} are allowed (scoring.size_factor)"
            )
            return _failed("invalid", reasons.ARTEFACT_SIZE, text)
        subject = Sound(self._folder / result.artefact, source)
        dice = secrets.randbits(_DICE_BITS)
        answer = self._score(subject, split, result.trial_id, allowed, dice)
        if answer.get(_STRUCK):  # by whoever kills processes here, perhaps: a candidate's doing comes again
            answer = self._score(subject, split, result.trial_id, allowed, dice)
        if answer["status"] == "infra_failed" and self._works_with_another(split):
            self._log(result.trial_id, str(answer["detail"]))
            reason = answer.get("blame") or _BLAME.get(answer["reason"], reasons.FAILED)
            answer = _failed("invalid", reason, reasons.sentence(reason))
        elif answer["status"] == "scored":
            self._sound.remember(result, source)
            answer["side"] = {**answer["side"], ARTEFACT_BYTES: float(size)}
        return answer

    def _size(self, result: TrialResult) -> int:
        try:
            return (self._folder / result.artefact).stat().st_size
        except OSError as error:
            raise InfrastructureError(f"the artefact cannot be read: {error}") from error

    def _works_with_another(self, split: Split) -> bool:
        """Whether evaluate.py can score an artefact that is known to be sound."""
        sound = self._sound.find()
        return sound is not None and self._score(sound, split, "sound", None)["status"] == "scored"

    def _score(
        self,
        subject: Sound,
        split: Split,
        trial_id: str,
        allowed: Allowance | None,
        dice: int | None = None,
    ) -> dict[str, Any]:
        """dice: of everything that is drawn for it; None: the referee process has its own."""
        with ExitStack() as stack:
            files = [stack.enter_context(_open(_sealed(subject.artefact)))]
            if self._task.predictor != "none":
                files.append(stack.enter_context(_open(wire.sealed_file(packed(self._tree(subject.source))))))
            referee, predictors = self._pool.take()
            stack.callback(self._pool.dispose, [referee, *predictors])
            if self._starts_beside:
                self._pool.prepare_beside()
            files += [predictor.end.fileno() for predictor in predictors]
            try:
                self._import_early(predictors, subject.source)
                answer = self._ask(referee, files, split, predictors, allowed, dice)
            except reasons.PredictorFault as fault:
                answer = {**_failed("invalid", fault.reason, fault.detail), _STRUCK: fault.struck}
            except EvaluatorLost as error:
                answer = {**_failed("infra_failed", "evaluator.lost", str(error)), "blame": error.reason}
                answer[_STRUCK] = error.reason == reasons.FAILED
            self._explain(answer, predictors, trial_id)
            return answer

    def _import_early(self, predictors: list[Predictor], source: Files) -> None:
        """What the candidate imports beyond the task's own packages: start-up is not billed, as in training."""
        if modules := [name for name in imports(source) if name not in self._early]:
            end = time.monotonic() + self._settings.startup_seconds
            for predictor in predictors:  # both at once
                predictor.begin_imports(modules)
            for predictor in predictors:
                predictor.await_imports(modules, max(0.001, end - time.monotonic()))

    def _ask(
        self,
        referee: RefereeProcess,
        files: list[int],
        split: Split,
        predictors: list[Predictor],
        allowed: Allowance | None,
        dice: int | None,
    ) -> dict[str, Any]:
        task, settings = self._task, self._settings
        load = {"entry": task.entry, "threads": self._profile.threads, "pinned": self._gpu is not None}
        plan: dict[str, object] = {
            "evaluate": str(task.path.resolve() / "evaluate.py"),
            "private": str(self._data.private.resolve()),
            "split": split.value,
            "metric": task.metric,
            "predictor": task.predictor,
            "artefact": task.artefact,
            "classes": self._profile.classes or task.classes,
            "load": load,
            "settings": dataclasses.asdict(settings),
            "clock": self._profile.clock,
            "allowed": dataclasses.asdict(allowed) if allowed else None,
            "dice": dice,
        }
        patience = settings.evaluate_seconds
        if task.predictor != "none":
            patience += 2 * (settings.predictor_seconds + settings.startup_seconds)
        return dict(referee.ask(plan, files, patience, predictors[0] if predictors else None))

    def _tree(self, source: Files) -> Files:
        """The candidate's files and the gate that its train.py imports; the gate leads nowhere here."""
        gate = {"harness/__init__.py": b"", "harness/gate.py": _GATE.read_bytes()}
        return {**source, **{name: content for name, content in gate.items() if name not in source}}

    def _explain(self, answer: dict[str, Any], predictors: list[Predictor], trial_id: str) -> None:
        """Why a predictor ended, and for people what it said: not in the score, it has seen held-out text.

        Where its end may not be its own doing, the answer says so.
        """
        if answer["status"] != "invalid" or not predictors:
            return
        if answer["reason"] in ("predictor.crashed", "predictor.not_loaded"):
            silent = answer[_STRUCK] is None
            end = first_end(predictors, _END_SECONDS if silent else _TOLD_SECONDS)
            if end and end.limit:
                answer["reason"], answer[_STRUCK] = f"predictor.{end.limit}", False
            elif silent:
                answer[_STRUCK] = bool(end and end.unexplained)
        said = [str(answer.get("words", "")), *(predictor.process.log for predictor in predictors)]
        self._log(trial_id, "\n".join(said))

    def _log(self, trial_id: str, text: str) -> None:
        """For people only: a full disk costs these words, not the score."""
        logs = self._folder / "logs"
        with suppress(OSError):
            logs.mkdir(exist_ok=True)
            with (logs / f"{trial_id}.predictor.log").open("a", encoding="utf-8", errors="replace") as file:
                file.write(text + "\n")

    def overlap(self, first: Callable[[], None] = lambda: None) -> Callable[[], bool]:
        """From now on a score's processes are ended, and the next one's started, beside what follows the score; where
        CPU time is billed, the next one's are started beside the score itself.

        What is returned tells whether that is over: no trial's time is to run before. first: is done likewise, now.
        """
        self._pool.overlap(first)
        return lambda: self._pool.settled

    def await_ready(self) -> None:
        """Until the next score can begin without starting anything: for measurements of time."""
        self._pool.await_ready()

    def close(self) -> None:
        """Ends the processes that wait for a next score."""
        self._pool.close()


def _failed(status: str, reason: str, detail: str) -> dict[str, Any]:
    return {"status": status, "value": None, "reason": reason, "detail": detail}


@contextmanager
def _open(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sealed(artefact: Path) -> int:
    """The artefact as a file that nobody can change. Raises InfrastructureError if our own copy is gone."""
    try:
        with artefact.open("rb") as file:
            return wire.sealed_copy(file.fileno(), "artefact")
    except OSError as error:
        raise InfrastructureError(f"the artefact cannot be read: {error}") from error


def packed(files: Mapping[str, bytes]) -> bytes:
    """One line of JSON with names and sizes, then the contents."""
    index = json.dumps([[name, len(content)] for name, content in files.items()]).encode()
    return index + b"\n" + b"".join(files.values())
