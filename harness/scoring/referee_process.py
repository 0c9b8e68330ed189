"""The referee's own process for one score: the task's evaluate.py is trusted, and slow imports stay out of the session.

The session starts it early (`serve` waits), sends one plan with open files, and reads one answer. The process
holds the private data and the trusted ends of the predictors; nothing of the candidate's is imported here, but its
answers are parsed here, so memory and processor time are limited.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import math
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from harness.records import Split
from harness.sandbox import wire
from harness.sandbox.device_memory import DeviceMemory, DeviceMemoryUnavailable
from harness.scoring import reasons
from harness.scoring.artefact_reader import BadArtefact, read_artefact
from harness.scoring.connection import Connection, slots_on_device
from harness.scoring.fixed_words import fixed_words
from harness.scoring.inference import Allowance, AnswerMeter
from harness.scoring.items import ITEMS, items_of, packets
from harness.scoring.log_softmax_gpu import GpuLosses, loss_workers
from harness.scoring.reasons import PredictorFault
from harness.scoring.settings import Scoring
from harness.scoring.subjects import ItemSubject, Replayed, TokenSubject, slot_bytes

_DETAIL_CHARACTERS = 2000


class PredictorControl(Protocol):
    """What the referee may ask of the session that started the predictors."""

    def cpu_seconds(self) -> float:
        """Of the main predictor's whole process tree."""

    def end_main(self) -> None:
        """Returns when the main predictor is gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScoringPlan:
    """One score. predictor: "tokens", "items" or "none"; load: what the predictors' hosts are told.

    clock: "cpu" or "wall", as training is billed. allowed: None where there is no baseline to compare with. dice: of
    the order of questions and of what is audited; a score that is made once more keeps them.
    Beside it travel the artefact and, with a predictor, the source and the ends of the main and the cold one.
    """

    evaluate: str
    private: str
    split: str
    metric: str
    predictor: str
    artefact: str
    classes: int
    load: dict[str, Any]
    settings: Scoring
    clock: str = "wall"
    allowed: Allowance | None = None
    dice: int | None = None


def plan_of(message: dict[str, Any]) -> ScoringPlan:
    """From what travels as JSON."""
    allowed = message.get("allowed")
    kept = {"settings": Scoring(**message["settings"]), "allowed": Allowance(**allowed) if allowed else None}
    return ScoringPlan(**{**message, **kept})


def main(descriptor: int, early: Sequence[str] = ()) -> None:
    """early: modules to import before the plan arrives; with torch among them, the GPU is made ready, too."""
    channel = socket.socket(fileno=descriptor)
    for name in early:
        importlib.import_module(name)
    ready = loss_workers(1, gpu=True) if "torch" in early else None
    try:
        wire.send(channel, {"op": "ready"})
        message, descriptors = wire.receive_with_files(channel, 4)
    except wire.ChannelClosed:
        return
    plan = plan_of(message)
    _limit(plan.settings)
    answer = score(plan, descriptors, _Asked(channel), ready if isinstance(ready, GpuLosses) else None)
    for part in packets(answer.pop(ITEMS, None)):
        wire.send(channel, part)
    wire.send(channel, answer)


def _limit(settings: Scoring) -> None:
    """Of this process. Memory: private and writable, which leaves out what is shared with predictors."""
    memory = round(settings.evaluate_memory_gib * (1 << 30))
    seconds = math.ceil(settings.evaluate_seconds + 2 * settings.predictor_seconds) * (os.cpu_count() or 1)
    for number, limit in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(number)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(number, (value, value))


class _Asked:
    """The session at the other end of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def cpu_seconds(self) -> float:
        wire.send(self._channel, {"op": "cpu_seconds"})
        return float(wire.receive(self._channel)["seconds"])

    def end_main(self) -> None:
        wire.send(self._channel, {"op": "end_main"})
        wire.receive(self._channel)


def score(
    plan: ScoringPlan, descriptors: list[int], session: PredictorControl, on_gpu: GpuLosses | None = None
) -> dict[str, Any]:
    """op, status, value, side, reason, detail, items: fields of records.Score. Never raises.

    descriptors: what travels beside the plan; the predictors' ends are closed. on_gpu: where log-softmax is done.
    """
    return _Scoring(plan, descriptors, session, on_gpu).answer()


class _Rejected(Exception):
    """evaluate.py does not accept the candidate's content."""


class _Scoring:
    """One score under way."""

    def __init__(
        self,
        plan: ScoringPlan,
        descriptors: list[int],
        session: PredictorControl,
        on_gpu: GpuLosses | None = None,
    ) -> None:
        self._plan, self._descriptors, self._session = plan, descriptors, session
        self._on_gpu = on_gpu
        local = time.process_time if plan.clock == "cpu" else time.monotonic
        remote = session.cpu_seconds if plan.clock == "cpu" else time.monotonic
        self._meter = AnswerMeter(local if plan.predictor == "none" else remote, plan.allowed)
        self._main: Connection | None = None
        self._items: dict[str, Any] | None = None

    def answer(self) -> dict[str, Any]:
        plan = self._plan
        try:
            value, side = self._evaluated()
        except PredictorFault as fault:
            return {**self._invalid(fault.reason, fault.detail, fault.words), "struck": fault.struck}
        except BadArtefact as error:
            return self._invalid("artefact.unreadable", str(error))
        except _Rejected as error:
            detail = fixed_words(plan.evaluate, str(error)) or reasons.sentence("artefact.rejected")
            return {**self._invalid("artefact.rejected", words=str(error)), "detail": detail}
        except MemoryError:
            return _answer("infra_failed", "evaluator.memory", reasons.sentence(reasons.MEMORY))
        except BaseException as error:  # noqa: BLE001 -- whatever evaluate.py raises, SystemExit too
            return _answer("infra_failed", "evaluator.failed", "".join(traceback.format_exception(error)))
        if math.isfinite(value):
            return {**_answer("scored"), "value": value, "side": side, ITEMS: self._items}
        if plan.predictor == "tokens":  # its losses are finite
            return _answer("infra_failed", "evaluator.not_finite", f"{plan.metric} is {value}")
        return self._invalid("artefact.not_finite")

    def _invalid(self, reason: str, detail: str = "", words: str = "") -> dict[str, Any]:
        """Once held-out inputs were sent, what the candidate had a part in goes to the logs and not into the detail."""
        if detail and not (self._main and self._main.questions_sent):
            return {**_answer("invalid", reason, detail, words), "side": self._meter.cost()}
        said = "\n".join(filter(None, (detail, words)))
        return {**_answer("invalid", reason, reasons.sentence(reason), said), "side": self._meter.cost()}

    def _evaluated(self) -> tuple[float, dict[str, float]]:
        evaluate = _import(self._plan.evaluate).evaluate
        if self._plan.predictor == "none":
            return self._of_data(evaluate)
        artefact, source = self._descriptors[:2]
        main_end, cold_end = (socket.socket(fileno=end) for end in self._descriptors[2:])
        on_device = self._on_gpu is not None and self._plan.settings.on_device
        main = self._main = _connected(main_end, self._plan, source, artefact, self._meter, on_device)

        def cold() -> Connection:
            self._meter.check()
            main.close()
            self._session.end_main()
            return _connected(cold_end, self._plan, source, artefact, on_device=on_device)

        if self._plan.predictor == "tokens":
            return self._of_tokens(evaluate, main, cold)
        items = ItemSubject(main, cold, self._plan.settings, self._plan.dice)
        metrics = self._accepting(evaluate, items)
        _raise_swallowed(items.fault)
        value, _ = self._metrics(metrics, {})
        return self._metrics(metrics, items.finish(partial(self._once_more, evaluate), value))

    def _once_more(self, evaluate: Any, answers: Replayed) -> float | None:
        """The metric of answers that are known already; None where evaluate.py does not take them."""
        try:
            metrics = self._accepting(evaluate, answers)
        except _Rejected:
            return None
        return None if answers.unasked else float(metrics[self._plan.metric])

    def _of_data(self, evaluate: Any) -> tuple[float, dict[str, float]]:
        """evaluate.py reads the artefact itself: reading is loading, evaluating is the answer."""
        self._meter.start()
        subject = read_artefact(self._plan.artefact, self._descriptors[0])
        self._meter.answered(0)
        self._meter.asked = 1
        metrics = self._accepting(evaluate, subject)
        self._meter.answered(1)
        self._meter.check()
        return self._metrics(metrics, {})

    def _of_tokens(self, evaluate: Any, main: Connection, cold: Any) -> tuple[float, dict[str, float]]:
        plan = self._plan
        workers = self._on_gpu or loss_workers(plan.settings.threads, gpu=bool(plan.load["pinned"]))
        noise = plan.allowed.noise_nats if plan.allowed else 0.0
        small = plan.clock == "cpu" and not plan.load["pinned"]
        tokens = TokenSubject(
            main, cold, plan.classes, plan.settings, workers, noise, small_batches=small, dice=plan.dice
        )
        metrics = evaluate(tokens, Path(plan.private), plan.split)
        _raise_swallowed(tokens.fault)
        return self._metrics(metrics, tokens.finish())

    def _accepting(self, evaluate: Any, subject: Any) -> Any:
        """Where evaluate.py sees the candidate's content itself, its ValueError means that it rejects it."""
        try:
            return evaluate(subject, Path(self._plan.private), self._plan.split)
        except PredictorFault:
            raise
        except ValueError as error:
            raise _Rejected(str(error)) from error

    def _metrics(self, metrics: Any, audit: dict[str, float]) -> tuple[float, dict[str, float]]:
        metric = self._plan.metric
        if not isinstance(metrics, dict) or metric not in metrics:
            _bug(f"evaluate() must return a dict with {metric!r}")
        items = (
            metrics.get(ITEMS) if isinstance(metrics.get(ITEMS), Mapping) else None
        )  # else a number of that name
        numbers = {
            str(name): float(value) for name, value in metrics.items() if name != ITEMS or items is None
        }
        value = numbers.pop(metric)
        if items is not None and math.isfinite(value):
            told = items_of(items, value)
            self._items = told if self._plan.split == Split.TEST else None
        finite = {name: number for name, number in numbers.items() if math.isfinite(number)}
        return value, {**finite, **audit, **self._meter.cost()}


def _answer(status: str, reason: str = "", detail: str = "", words: str = "") -> dict[str, Any]:
    clipped = {"detail": detail[-_DETAIL_CHARACTERS:], "words": words[-_DETAIL_CHARACTERS:]}
    return {"op": "score", "status": status, "value": None, "side": {}, "reason": reason, **clipped}


def _raise_swallowed(fault: PredictorFault | None) -> None:
    """A fault stays a fault, even if evaluate.py caught it."""
    if fault is not None:
        raise fault


def _connected(
    end: socket.socket,
    plan: ScoringPlan,
    source: int,
    artefact: int,
    meter: AnswerMeter | None = None,
    on_device: bool = False,
) -> Connection:
    """Each predictor gets files of its own: a shared one could carry words (its offset, a lock) to the other.

    on_device: its answers may lie in the GPU's memory.
    """
    question_bytes, answer_bytes = slot_bytes(plan.settings, plan.predictor, plan.classes)
    connection = Connection(
        end,
        plan.settings.limits(),
        question_bytes=question_bytes,
        answer_bytes=answer_bytes,
        shared=plan.settings.shared_memory,
        meter=meter,
        allowed=plan.allowed,
        device=_device_memory(answer_bytes) if on_device and plan.settings.shared_memory else None,
    )
    copies = [wire.sealed_copy(file) for file in (source, artefact)]
    connection.load(plan.load, *copies)
    for copy in copies:
        os.close(copy)
    return connection


def _device_memory(answer_bytes: int) -> DeviceMemory | None:
    """None where a GPU cannot share its memory: then logits cross the bus, twice."""
    import torch

    torch.cuda.synchronize()  # gives this thread a context
    try:
        return DeviceMemory(slots_on_device(answer_bytes))
    except DeviceMemoryUnavailable as error:
        print(f"logits cross the bus: {error}", file=sys.stderr)
        return None


def _bug(text: str) -> NoReturn:
    raise TypeError(text)


def _import(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("evaluate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluate"] = module
    spec.loader.exec_module(module)
    return module
