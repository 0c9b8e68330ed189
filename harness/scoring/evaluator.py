"""Scores an artefact where the candidate is not.

    session -- plan, sealed files --> referee (evaluate.py, labels, log-softmax, audits)
                                        |  tokens or items  v      ^ raw logits or answers
    session -- starts and kills --> main and cold predictor (the candidate's code and weights, each in a sandbox)

The predictors see inputs and nothing else: no labels, no training data, no name of a split; gradients are off, weights
and source are sealed. Both are new for every score, and the cold one first sees code of the candidate's when the main
one is gone, so that nothing can be whispered. What goes wrong in them is the candidate's ("invalid"); what goes
wrong in evaluate.py or in starting processes is ours ("infra_failed").
"""

import dataclasses
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError
from harness.records import Files, Limits, Score, Split, TrialResult
from harness.sandbox import wire
from harness.sandbox.open import Command, Sandbox
from harness.scoring.settings import Scoring
from harness.scoring.warm_pool import Predictor, RefereeProcess, WarmPool
from harness.task.task import Profile, Task, TaskData

__all__ = ["SandboxEvaluator", "Scoring"]

_GATE = Path(__file__).resolve().parent.parent / "gate.py"
_PREDICTORS = 2  # main and cold
_SLOW_IMPORTS = ("numpy", "torch", "safetensors.torch", "safetensors.numpy")
_DEFAULTS = Scoring()


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
            arguments=_early_imports(task.source()),
            public=data.public,
            limits=self._limits(),
            gpu=gpu,
            threads=profile.threads,
        )
        self._pool = WarmPool(
            sandbox, command, predictors=predictors, threads=self._settings.threads, warm=settings.warm
        )
        self._pool.prepare()

    def _limits(self) -> Limits:
        memory = round(self._settings.memory_gib * (1 << 30)) or self._profile.limits().memory_bytes
        return dataclasses.replace(self._profile.limits(), memory_bytes=memory, out_bytes=1 << 20)

    def score(self, result: TrialResult, source: Files, split: Split) -> Score:
        """The task's metric for a trial's artefact. Never raises for anything that the candidate can do."""
        start = time.monotonic()
        try:
            answer = self._score(result, source, split)
        except InfrastructureError as error:
            answer = {"status": "infra_failed", "reason": "evaluator.unavailable", "detail": str(error)}
        finally:
            self._pool.prepare()
        fields = {
            name: answer[name] for name in ("status", "value", "side", "reason", "detail") if name in answer
        }
        return Score(**fields, seconds=time.monotonic() - start)

    def _score(self, result: TrialResult, source: Files, split: Split) -> dict[str, Any]:
        with ExitStack() as stack:
            files = [stack.enter_context(_open(_sealed(self._folder / result.artefact)))]
            if self._task.predictor != "none":
                files.append(stack.enter_context(_open(wire.sealed_file(packed(self._tree(source))))))
            referee, predictors = self._pool.take()
            stack.callback(referee.close)
            for predictor in predictors:
                stack.callback(predictor.close)
            files += [predictor.end.fileno() for predictor in predictors]
            answer = self._ask(referee, files, split, predictors[0].end_now if predictors else _nothing)
            self._explain(answer, predictors, result.trial_id)
            return answer

    def _ask(
        self, referee: RefereeProcess, files: list[int], split: Split, end_main: Callable[[], None]
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
        }
        patience = settings.evaluate_seconds
        if task.predictor != "none":
            patience += 2 * (settings.predictor_seconds + settings.startup_seconds)
        return dict(referee.ask(plan, files, patience, end_main))

    def _tree(self, source: Files) -> Files:
        """The candidate's files and the gate that its train.py imports; the gate leads nowhere here."""
        gate = {"harness/__init__.py": b"", "harness/gate.py": _GATE.read_bytes()}
        return {**source, **{name: content for name, content in gate.items() if name not in source}}

    def _explain(self, answer: dict[str, Any], predictors: list[Predictor], trial_id: str) -> None:
        """Why a predictor ended, and for people what it said: not in the score, it has seen held-out text."""
        if answer["status"] != "invalid" or not predictors:
            return
        if answer["reason"] in ("predictor.crashed", "predictor.not_loaded"):
            for predictor in predictors:
                if (end := predictor.process.wait(0.5)) and end.limit:
                    answer["reason"] = f"predictor.{end.limit}"
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        text = "\n".join([str(answer.get("words", "")), *(predictor.process.log for predictor in predictors)])
        (logs / f"{trial_id}.predictor.log").write_text(text, encoding="utf-8")

    def await_ready(self) -> None:
        """Until the next score can begin without starting anything: for measurements of time."""
        self._pool.await_ready()

    def close(self) -> None:
        """Ends the processes that wait for a next score."""
        self._pool.close()


def _early_imports(source: Files) -> tuple[str, ...]:
    """What a predictor loads before it has a candidate: of what takes long, the packages that the task itself names."""
    pattern = re.compile(rb"^\s*(?:import|from) ([\w.]+)", re.MULTILINE)
    found = {name.decode() for content in source.values() for name in pattern.findall(content)}
    return tuple(
        module for module in _SLOW_IMPORTS if any(f"{name}.".startswith(f"{module}.") for name in found)
    )


def _nothing() -> None:
    """No predictor, nothing to end."""


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
