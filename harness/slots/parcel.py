"""What travels to a place on another machine and back: files of JSON, nothing that is executed by being read.

    kit.json     what all trials of a session have in common: task, profile, scoring, dice, isolation, where data lie
    order.json   one trial: its program, seed and clock, a word that the answer must repeat
    result.json  what the referee's agent there measured; written beside and renamed, so it is whole or not there

No secret is in them: a seed is what a secret gave for this one trial, and answers to held-out data travel as the task's
prepared data do. What comes back is checked as if anybody could have written it.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import InfrastructureError
from harness.ledger.plain import to_json
from harness.ledger.rows import TrialFinishedRow
from harness.records import (
    Json,
    Level,
    Limits,
    Observation,
    Outcome,
    Role,
    Score,
    Split,
    TrialResult,
    TrialSpec,
)
from harness.sandbox.strict_json import NotStrictJson, parsed
from harness.scoring.evaluator import Scoring
from harness.slots.order import MOST_SCORINGS, Measured, Order
from harness.task.task import Profile, Task, TaskData
from harness.trial.artefact import ArtefactRefused, take_artefact
from harness.trial.trial import ARTEFACTS

KIT, ORDER, RESULT = "kit.json", "order.json", "result.json"
_MOST_BYTES = 64 << 20
_MOST_TEXT = 4 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kit:
    """level: what isolation a node must give at least. placebo: folder of shuffled training data."""

    task: Task
    profile_name: str
    profile: Profile
    scoring: Scoring
    public: str
    private: str
    placebo: str | None
    salted_seeding: bool
    reordering: bool
    level: str
    least_level: Level
    allow_unsafe: bool

    @property
    def data(self) -> TaskData:
        return TaskData(Path(self.public), Path(self.private))

    def to_bytes(self) -> bytes:
        values = {name: to_json(getattr(self, name)) for name in type(self).__dataclass_fields__}
        task = values["task"]
        assert isinstance(task, dict)
        values["overlay"] = task.pop("overlay")
        task["folder"] = str(self.task.path.resolve())
        return json.dumps(values).encode()

    @classmethod
    def of(cls, content: bytes) -> "Kit":
        values = json.loads(content)
        overlay = values.pop("overlay")
        kit = _read(cls, values)
        return replace(kit, task=kit.task.for_profile(kit.profile_name).begun_at(overlay))


def order_bytes(order: Order, nonce: str) -> bytes:
    values = {
        "id": order.id,
        "nonce": nonce,
        "spec": to_json(order.spec),
        "split": order.split.value,
        "source": {name: base64.b85encode(content).decode() for name, content in order.source.items()},
        "baseline": [to_json(seen) for seen in order.baseline],
    }
    return json.dumps(values).encode("utf-8", "surrogatepass")


def order_of(content: bytes) -> tuple[Order, str]:
    """The order and the word that its answer must repeat. For our own files only."""
    values = json.loads(content)
    source = {name: base64.b85decode(text) for name, text in values["source"].items()}
    baseline = tuple(_observation(seen) for seen in values["baseline"])
    spec = _read(TrialSpec, values["spec"])
    return Order(values["id"], spec, source, Split(values["split"]), baseline=baseline), values["nonce"]


def result_bytes(measured: Measured, nonce: str) -> bytes:
    values = {
        "id": measured.id,
        "nonce": nonce,
        "result": to_json(measured.result),
        "scores": [to_json(score) for score in measured.scores],
        "beside": dict(measured.beside),
        "place": measured.place,
    }
    return json.dumps(values, allow_nan=False).encode("utf-8", "surrogatepass")


def write(file: Path, content: bytes) -> None:
    """Whole or not at all, and there when this returns."""
    beside = file.with_name(f".{file.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, file)


def new_nonce() -> str:
    return secrets.token_hex(16)


def folder_name(order_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_~.-]", "_", order_id).lstrip(".")


def received(
    folder: Path, order_id: str, nonce: str, limits: Limits, artefact: str, session: Path
) -> Measured:
    """The answer in an order's folder, its artefact moved into the session's. artefact: file name in a trial's out/.

    Raises InfrastructureError for anything that does not keep to the form.
    """
    try:
        measured = _checked(_plain_file(folder / RESULT), order_id, nonce)
        result = measured.result
        if result.artefact:
            result = replace(result, artefact=_taken(folder, result, limits, artefact, session))
        return replace(measured, result=result)
    except (NotStrictJson, ArtefactRefused, KeyError, TypeError, ValueError, OSError) as error:
        raise InfrastructureError(
            f"the answer of trial {order_id} is not as it should be: {error}"
        ) from error


def _plain_file(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("it is too large")
    return content


def _checked(content: bytes, order_id: str, nonce: str) -> Measured:
    values = parsed(content)
    if not isinstance(values, dict) or values.get("id") != order_id:
        raise ValueError("it answers another order")
    if not secrets.compare_digest(str(values.get("nonce")), nonce):
        raise ValueError("it does not repeat the order's word")
    result = _result(_mapping(values["result"]))
    if result.trial_id != order_id or len(result.log) > _MOST_TEXT:
        raise ValueError("it tells of another trial")
    answers = values["scores"]
    if not isinstance(answers, list) or len(answers) > MOST_SCORINGS:
        raise ValueError("its scores are not as they should be")
    scores = tuple(_read(Score, score) for score in answers)
    if bool(scores) != (result.outcome is Outcome.COMPLETED):
        raise ValueError("completed trials have scores, others have none")
    beside = {name: _number(value) for name, value in _mapping(values["beside"]).items()}
    return Measured(order_id, result, scores, beside, str(values["place"])[:200])


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("it has no number where there should be one")
    return float(value)


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("it has no mapping where there should be one")
    return value


def _taken(folder: Path, result: TrialResult, limits: Limits, artefact: str, session: Path) -> str:
    """The artefact's path in the session's folder; checked as one that a trial has just left is."""
    name = f"{folder_name(result.trial_id)}{Path(artefact).suffix}"
    (session / ARTEFACTS).mkdir(exist_ok=True)
    place = os.open(folder / ARTEFACTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        digest = take_artefact(place, name, limits.artefact_bytes, session / ARTEFACTS / name)
    finally:
        os.close(place)
    if digest != result.artefact_sha256:
        (session / ARTEFACTS / name).unlink(missing_ok=True)
        raise ValueError("its artefact is not the one that it tells of")
    return f"{ARTEFACTS}/{name}"


def _observation(values: dict[str, Any]) -> Observation:
    """Of our own files."""
    kinds = {"role": Role(values["role"]), "outcome": Outcome(values["outcome"])}
    return Observation(**{**values, **kinds})


def _result(values: Mapping[str, Json]) -> TrialResult:
    """Checked as a row of the ledger is."""
    if values.keys() != TrialResult.__dataclass_fields__.keys():
        raise ValueError("it has other fields than a trial's result")
    return TrialFinishedRow.model_validate(values).result()


def _read(kind: type[T], values: Any) -> T:
    """A record of plain values, every field checked."""
    from pydantic import ConfigDict, TypeAdapter

    (found,) = TypeAdapter(tuple[kind], config=ConfigDict(extra="forbid")).validate_python((values,))  # type: ignore[valid-type]
    return found
