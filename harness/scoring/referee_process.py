"""The referee's own process for one score: the task's evaluate.py is trusted, and slow imports stay out of the session.

The session starts it early (`serve` waits), sends one plan with open files, and reads one answer. The process
holds the private data and the trusted ends of the predictors; nothing of the candidate's is imported here.
"""

import dataclasses
import importlib
import importlib.util
import math
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness.sandbox import wire
from harness.scoring.artefact_reader import BadArtefact, read_artefact
from harness.scoring.connection import Connection, PredictorFault
from harness.scoring.log_softmax_gpu import loss_workers
from harness.scoring.settings import Scoring
from harness.scoring.subjects import ItemSubject, TokenSubject, slot_bytes

_DETAIL_CHARACTERS = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One score. predictor: "tokens", "items" or "none"; load: what the predictors' hosts are told.

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


def main(descriptor: int, early: Sequence[str] = ()) -> None:
    """early: modules to import before the plan arrives."""
    channel = socket.socket(fileno=descriptor)
    for name in early:
        importlib.import_module(name)
    try:
        message, descriptors = wire.receive_with_files(channel, 4)
    except wire.ChannelClosed:
        return
    plan = Plan(**{**message, "settings": Scoring(**message["settings"])})

    def end_main() -> None:
        wire.send(channel, {"op": "end_main"})
        wire.receive(channel)

    wire.send(channel, score(plan, descriptors, end_main))


def score(plan: Plan, descriptors: list[int], end_main: Callable[[], None]) -> dict[str, Any]:
    """op, status, value, side, reason, detail: fields of records.Score. Never raises.

    descriptors: what travels beside the plan; the predictors' ends are closed. end_main: returns when the main
    predictor is gone.
    """
    try:
        value, side = _evaluate(plan, descriptors, end_main)
    except PredictorFault as fault:
        return _answer("invalid", fault.reason, fault.detail, words=fault.words)
    except BadArtefact as error:
        return _answer("invalid", "artefact.unreadable", str(error))
    except _Rejected as error:
        return _answer("invalid", "artefact.rejected", str(error))
    except BaseException as error:  # noqa: BLE001 -- whatever evaluate.py raises is ours, SystemExit too
        detail = "".join(traceback.format_exception(error))
        return _answer("infra_failed", "evaluator.failed", detail)
    if math.isfinite(value):
        return {**_answer("scored"), "value": value, "side": side}
    if plan.predictor == "tokens":  # its losses are finite
        return _answer("infra_failed", "evaluator.not_finite", f"{plan.metric} is {value}")
    return _answer("invalid", "artefact.not_finite", f"{plan.metric} is {value}")


class _Rejected(Exception):
    """evaluate.py does not accept the candidate's content."""


def _answer(status: str, reason: str = "", detail: str = "", words: str = "") -> dict[str, Any]:
    clipped = {"detail": detail[-_DETAIL_CHARACTERS:], "words": words[-_DETAIL_CHARACTERS:]}
    return {"op": "score", "status": status, "value": None, "side": {}, "reason": reason, **clipped}


def _evaluate(
    plan: Plan, descriptors: list[int], end_main: Callable[[], None]
) -> tuple[float, dict[str, float]]:
    evaluate = _import(plan.evaluate).evaluate
    if plan.predictor == "none":
        subject = read_artefact(plan.artefact, descriptors[0])
        return _metrics(plan, _accepting(evaluate, subject, plan), {})
    artefact, source = descriptors[:2]
    main_end, cold_end = (socket.socket(fileno=end) for end in descriptors[2:])
    main = _connected(main_end, plan, source, artefact)

    def cold() -> Connection:
        main.close()
        end_main()
        return _connected(cold_end, plan, source, artefact)

    if plan.predictor == "tokens":
        workers = loss_workers(plan.settings.threads, gpu=bool(plan.load["pinned"]))
        tokens = TokenSubject(main, cold, plan.classes, plan.settings, workers)
        metrics = evaluate(tokens, Path(plan.private), plan.split)
        _raise_swallowed(tokens.fault)
        return _metrics(plan, metrics, tokens.finish())
    items = ItemSubject(main, cold, plan.settings)
    metrics = _accepting(evaluate, items, plan)
    _raise_swallowed(items.fault)
    return _metrics(plan, metrics, items.finish())


def _accepting(evaluate: Any, subject: Any, plan: Plan) -> Any:
    """Where evaluate.py sees the candidate's content itself, its ValueError means that it rejects it."""
    try:
        return evaluate(subject, Path(plan.private), plan.split)
    except PredictorFault:
        raise
    except ValueError as error:
        raise _Rejected(str(error)) from error


def _raise_swallowed(fault: PredictorFault | None) -> None:
    """A fault stays a fault, even if evaluate.py caught it."""
    if fault is not None:
        raise fault


def _connected(end: socket.socket, plan: Plan, source: int, artefact: int) -> Connection:
    """Each predictor gets files of its own: a shared one could carry words (its offset, a lock) to the other."""
    question_bytes, answer_bytes = slot_bytes(plan.settings, plan.predictor, plan.classes)
    connection = Connection(
        end,
        plan.settings.limits(),
        question_bytes=question_bytes,
        answer_bytes=answer_bytes,
        shared=plan.settings.shared_memory,
    )
    copies = [wire.sealed_copy(file) for file in (source, artefact)]
    connection.load(plan.load, *copies)
    for copy in copies:
        os.close(copy)
    return connection


def _metrics(plan: Plan, metrics: Any, audit: dict[str, float]) -> tuple[float, dict[str, float]]:
    if not isinstance(metrics, dict) or plan.metric not in metrics:
        _bug(f"evaluate() must return a dict with {plan.metric!r}")
    numbers = {str(name): float(value) for name, value in metrics.items()}
    value = numbers.pop(plan.metric)
    return value, {**{name: number for name, number in numbers.items() if math.isfinite(number)}, **audit}


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
