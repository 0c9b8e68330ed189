"""The same seam for predictors of items and for artefacts that are data."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from safetensors_bytes import safetensors_bytes
from scoring_bench import EvaluatorBench, ForkSandbox

from harness.sandbox.wire import sealed_file
from harness.scoring.artefact_reader import BadArtefact, read_artefact

ITEMS = b"""
import json

def evaluate(subject, private, split):
    items = [f"query {number}" for number in range(200)]
    answers = subject.answers(items)
    if not all(isinstance(answer, dict) for answer in answers):
        raise ValueError("an answer is not an object")
    return {"bpb": sum(answer["length"] for answer in answers) / len(answers), "items": len(answers)}
"""
HEAD = "def load_predictor(artefact, data):\n    import json\n    scale = json.load(open(artefact))\n"


@pytest.fixture
def items(tmp_path: Path, local_referee: None) -> EvaluatorBench:
    del local_referee
    return EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=ITEMS)


def tree(body: str) -> dict[str, bytes]:
    return {"train.py": (HEAD + "".join(f"    {line}\n" for line in body.strip().splitlines())).encode()}


def test_items_are_answered_in_order(items: EvaluatorBench) -> None:
    """Every item gets its own answer, whatever order they were asked in."""
    score = items.score(b"2", tree("return lambda items: [{'length': scale * len(item)} for item in items]"))
    assert (score.status, score.detail) == ("scored", "")
    assert score.value == pytest.approx(2 * np.mean([len(f"query {number}") for number in range(200)]))
    assert score.side["items"] == 200


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        ("predictor.shape", "return lambda items: [{'length': 1}]"),
        ("predictor.shape", "return lambda items: {'length': 1}"),
        ("predictor.bad_message", "return lambda items: [{'length': float('nan')}] * len(items)"),
        ("predictor.crashed", "return lambda items: [object()] * len(items)"),
        ("predictor.crashed", "return lambda items: 1 / 0"),
        ("predictor.not_loaded", "raise OSError"),
        ("artefact.rejected", "return lambda items: ['word'] * len(items)"),
        (
            "audit.replay",
            "seen = []\nreturn lambda items: [(seen.append(1), {'length': len(seen)})[1] for item in items]",
        ),
        ("audit.replay", "return lambda items: [{'length': len(items[0]) + len(items)} for item in items]"),
    ],
)
def test_what_items_predictors_do_wrong_is_theirs(items: EvaluatorBench, reason: str, body: str) -> None:
    """Counts, types, memory and company are checked as for tokens."""
    assert (items.score(b"2", tree(body)).status, items.score(b"2", tree(body)).reason) == ("invalid", reason)


# What is below the tolerance of `alike` can still be worth something, and only the metric knows. Each beside an honest
# one of the same shape.
LOGITS = b"""
import math

def evaluate(subject, private, split):
    items = [f"query {number}" for number in range(200)]
    worth = []
    for logits in subject.answers(items):
        top = max(logits)
        worth.append(math.log(sum(math.exp(one - top) for one in logits)) - (logits[0] - top))
    return {"bpb": sum(worth) / len(worth)}
"""
ORDER = b"""
def evaluate(subject, private, split):
    items = [f"query {number}" for number in range(200)]
    return {"bpb": sum(row.index(max(row)) == 0 for row in subject.answers(items)) / len(items)}
"""
SHAPES = {
    # metric, what is answered; `seen` is how much was asked before, or 0 in the honest one
    "softmax_sees_no_sum": (LOGITS, "[1e7 + seen, 1e7, 1e7 + item]"),
    "softmax_sees_no_sum_of_an_item": (LOGITS, "[1e9 * item + seen, 1e9 * item, 1e9 * item + 1.0]"),
    "a_ranking_sees_no_scale": (ORDER, "[1e-6 * (seen > 1) + 1e-9 * item, 1e-7]"),
    "whole_numbers_are_no_rounding": (ORDER, "[1000 + (seen > 1), 1001 - (seen > 1)]"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seen", ["len(asked)", "0.0"], ids=["memory", "honest"])
def test_a_memory_below_the_tolerance_is_found_by_the_metric(
    tmp_path: Path, local_referee: None, shape: str, seen: str
) -> None:
    """Between large numbers, or tiny ones, anything is alike; rounding of the honest kind passes."""
    del local_referee
    evaluate, answer = SHAPES[shape]
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=evaluate)
    score = bench.score(
        b"2",
        tree(f"""
asked = []
def answers(items):
    asked.append(0.5)
    seen, company = {seen}, 1e-7 * len(items) * ({seen} == 0.0)
    return [{answer.replace("item", "(len(item) + company)")} for item in items]
return answers"""),
    )
    assert (score.status, score.reason) == (("scored", "") if seen == "0.0" else ("invalid", "audit.replay"))


@pytest.mark.parametrize("attempt", range(3))
def test_a_choice_between_equals_may_fall_the_other_way_now_and_then(
    tmp_path: Path, local_referee: None, attempt: int
) -> None:
    """Rounding depends on the place in a batch; where one answer in two hundred hangs on it, that is no memory."""
    del local_referee, attempt
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=ORDER)
    score = bench.score(
        b"2",
        tree("""
def answers(items):
    return [[1.0 + 1e-9 * (place % 2), 1.0 + 5e-10 if item == "query 7" else 0.5] for place, item in enumerate(items)]
return answers"""),
    )
    assert (score.status, score.reason) == ("scored", "")


FOLLOWED = b"""
def evaluate(subject, private, split):
    items, worth = [[number, None] for number in range(200)], 0
    for _ in range(3):
        answers = subject.answers(items)
        worth += sum(answer["guess"] for answer in answers)
        items = [[number, answer["memory"]] for (number, _), answer in zip(items, answers)]
    return {"bpb": -worth / 600}
"""


@pytest.mark.parametrize(("memory", "status"), [("1e6 + len(asked)", "invalid"), ("1e6 + item[0]", "scored")])
def test_what_comes_back_as_a_question_carries_nothing_below_the_tolerance(
    tmp_path: Path, local_referee: None, memory: str, status: str
) -> None:
    """Where later questions hold earlier answers, a memory of other items could travel in their last digits."""
    del local_referee
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=FOLLOWED)
    score = bench.score(
        b"2",
        tree(f"""
asked = []
def answers(items):
    asked.append(1)
    return [{{"guess": int((item[1] or 0) % 7 > 3), "memory": {memory}}} for item in items]
return answers"""),
    )
    assert (score.status, score.reason) == (status, "" if status == "scored" else "audit.replay")


DATA = b"""
def evaluate(subject, private, split):
    if not isinstance(subject, dict) or "value" not in subject:
        raise ValueError("no value")
    return {"bpb": subject["value"] * (2 if split == "test" else 1)}
"""


@pytest.fixture
def data(tmp_path: Path, local_referee: None) -> EvaluatorBench:
    del local_referee
    return EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="none", evaluate=DATA)


def test_data_are_scored_without_any_candidate_process(data: EvaluatorBench) -> None:
    """An artefact that is JSON goes to evaluate() as a value; nothing of the candidate's is started."""
    assert data.score(b'{"value": 3.5}', {}).value == 3.5
    assert data.sandbox.started == 0


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("artefact.unreadable", b"{"),
        ("artefact.unreadable", b""),
        ("artefact.unreadable", b"\xff\xfe"),
        ("artefact.unreadable", b'{"value": NaN}'),
        ("artefact.unreadable", b"[" * 200_000),
        ("artefact.rejected", b"[]"),
        ("artefact.unreadable", b'{"value": 1e999}'),
        ("artefact.unreadable", b'{"value": 1, "value": 2}'),
        ("artefact.unreadable", b'{"value": ' + b"9" * 400 + b"}"),
        ("artefact.unreadable", b'{"value": "\\ud800"}'),
        ("artefact.unreadable", b"[" * 100 + b"]" * 100),
        ("artefact.unreadable", b"[" + b"{}," * (1 << 20) + b"{}]"),
    ],
)
def test_bad_data_are_the_candidates(data: EvaluatorBench, reason: str, content: bytes) -> None:
    """Damaged or unwanted content is invalid with a stable code."""
    score = data.score(content, {})
    assert (score.status, score.reason) == ("invalid", reason)


def read(content: bytes, name: str = "a.safetensors") -> object:
    return read_artefact(name, sealed_file(content))


def test_arrays_come_back_by_name() -> None:
    """safetensors files written by the library are read; arrays are private copies."""
    arrays = read(save({"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.int64)}))
    assert isinstance(arrays, dict)
    assert arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["b"].dtype == np.int64
    assert arrays["a"].flags.writeable


def header(about: object) -> bytes:
    return safetensors_bytes({"a": about}, bytes(16))


@pytest.mark.parametrize(
    "content",
    [
        b"short",
        (1 << 62).to_bytes(8, "little") + b"{}",
        header({"dtype": "F32", "shape": [4], "data_offsets": [0, 64]}),
        header({"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}),
        header({"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}),
        header({"dtype": "F32", "shape": [-1], "data_offsets": [0, 16]}),
        header({"dtype": "O", "shape": [4], "data_offsets": [0, 16]}),
        header({"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}),
        header([]),
        header({"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}),
    ],
)
def test_damaged_arrays_are_refused(content: bytes) -> None:
    """Offsets, shapes and types of an untrusted file are checked before anything is read."""
    with pytest.raises(BadArtefact):
        read(content)
