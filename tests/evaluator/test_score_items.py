"""What evaluate.py may tell of its score's items: checked, sent in packets, and on the sealed split alone."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_bench import EvaluatorBench, ForkSandbox

from harness.records import ItemScores, Score, Split
from harness.sandbox.wire import PACKET_BYTES
from harness.scoring.items import ItemPackets, items_of, packets

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e200, max_value=1e200)


@given(st.lists(st.tuples(finite, st.floats(1e-3, 1e6)), min_size=1, max_size=3000))
def test_items_arrive_as_they_were_sent(pairs: list[tuple[float, float]]) -> None:
    """However many: each packet fits into a message, and all together are what was told, bit by bit."""
    values, weights = (list(each) for each in zip(*pairs, strict=True))
    told, arrived = {"what": "rows", "values": values, "weights": weights}, ItemPackets()
    for message in packets(told):
        text = json.dumps(message)
        assert len(text.encode()) <= PACKET_BYTES
        arrived.take(json.loads(text))
    assert arrived.whole == ItemScores("rows", tuple(values), tuple(weights))


def test_no_items_are_no_packets() -> None:
    assert list(packets(None)) == []
    assert ItemPackets().whole is None


@pytest.mark.parametrize(
    "told",
    [
        [1.0, 2.0],
        {"values": [2.0]},
        {"what": "rows", "values": []},
        {"what": "rows", "values": [2.0], "weights": [1.0, 1.0]},
        {"what": "rows", "values": [2.0], "weights": [-1.0]},
        {"what": "rows", "values": [2.0], "weights": [0.0]},
        {"what": "rows", "values": [math.nan]},
        {"what": "rows", "values": [2.0, 2.1]},
        {"what": "<b>rows", "values": [2.0]},
        {"what": "rows", "values": [2.0], "more": 1},
    ],
)
def test_items_that_do_not_make_up_the_metric_are_a_fault_of_the_task(told: object) -> None:
    """Said when the task is checked, instead of an interval about something else."""
    with pytest.raises(TypeError):
        items_of(told, 2.0)
    assert items_of({"what": "rows", "values": [1.0, 3.0]}, 2.0)["weights"] == [1.0, 1.0]


EVALUATE = b"""
def evaluate(subject, private, split):
    values = [float(value) for value in subject["values"]]
    return {"bpb": sum(values) / len(values), "items": {"what": "answers", "values": values}}
"""
WRONG = EVALUATE.replace(b"sum(values) /", b"2 * sum(values) /")


def scored(folder: Path, evaluate: bytes, values: list[float], split: Split) -> Score:
    """By the referee's real process."""
    folder.mkdir()
    bench = EvaluatorBench(folder, ForkSandbox(folder), predictor="none", evaluate=evaluate)
    return bench.score(json.dumps({"values": values}).encode(), {}, split=split)


def test_the_sealed_split_alone_tells_its_items(tmp_path: Path) -> None:
    """Thousands of items on test, none on val, and the score is the same."""
    values = [number / 7 for number in range(2500)]
    val, test = (scored(tmp_path / split, EVALUATE, values, split) for split in (Split.VAL, Split.TEST))
    assert [val.status, test.status] == ["scored", "scored"]
    assert val.items is None
    assert test.items == ItemScores("answers", tuple(values), (1.0,) * 2500)
    assert val.value == test.value
    assert "items" not in test.side


def test_a_task_whose_items_do_not_add_up_is_told_so(tmp_path: Path) -> None:
    """On either split: not the candidate's fault, and the words name both numbers."""
    found = scored(tmp_path / "wrong", WRONG, [1.0, 2.0], Split.VAL)
    assert found.status == "infra_failed"
    assert "the metric is 3.0" in found.detail
