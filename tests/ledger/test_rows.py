"""Rows: what a record says survives the ledger exactly, and what this build does not know is said in a line."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LedgerError
from harness.keep.certificate import Certificate
from harness.ledger.plain import to_json
from harness.ledger.rows import (
    KINDS,
    CertificateRow,
    ProposedRow,
    Row,
    ScoredRow,
    TrialFinishedRow,
    TrialStartedRow,
    VerdictRow,
    row_of,
)
from harness.ledger.tables import schema
from harness.records import Level, Proposal, Score, Split, TrialResult, Usage, Verdict

START = TrialStartedRow(trial_id="p0001-1", commit="c", proposal=1, seed=7)
finite = st.floats(allow_nan=False, allow_infinity=False)


def through_the_ledger(row: Row) -> Any:
    return row_of(json.loads(json.dumps({"kind": row.kind, **row.content()}, allow_nan=False)))


def drawn(kind: type, **special: st.SearchStrategy) -> st.SearchStrategy:
    floats = {name: finite for name, hint in kind.__annotations__.items() if hint is float}
    return st.builds(kind, **floats, **special)


@given(drawn(TrialResult, claims=st.dictionaries(st.text(), finite, max_size=3), trial_id=st.just("p0001-1")))
def test_a_trials_result_comes_back_equal(result: TrialResult) -> None:
    """To JSON text and back gives an equal record, whatever its values are; so does the trial that it is about."""
    row = through_the_ledger(TrialFinishedRow.of(result, START))
    assert row.result() == result
    assert (row.commit, row.proposal, row.seed) == (START.commit, START.proposal, START.seed)


@given(
    drawn(
        Score,
        value=st.none() | finite,
        side=st.dictionaries(st.text(), finite),
        status=st.sampled_from(["scored", "invalid", "infra_failed"]),
    )
)
def test_a_score_comes_back_equal(score: Score) -> None:
    """Every field, for every status; of its items only the digest of their file."""
    row = through_the_ledger(ScoredRow.of(score, START, Split.VAL, "d" * 64))
    assert isinstance(row, ScoredRow)
    assert row.items_sha256 == "d" * 64
    names = {field.name for field in fields(Score)} - {"items"}
    assert all(getattr(row, name) == getattr(score, name) for name in names)


@given(drawn(Usage))
def test_usage_comes_back_equal(usage: Usage) -> None:
    """What a proposal cost is counted again from the row alone."""
    assert through_the_ledger(ProposedRow(usage=usage)).usage == usage


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (TrialResult, TrialFinishedRow),
        (Score, ScoredRow),
        (Verdict, VerdictRow),
        (Certificate, CertificateRow),
    ],
)
def test_a_row_holds_every_field_of_its_record(record: type, row: type[Row]) -> None:
    """A new field of a record has to be given a place in the ledger; a score's items are in a file beside it."""
    beside = {"items"} if record is Score else set()
    assert {field.name for field in fields(record)} - beside <= set(row.model_fields)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_has_a_kind_of_its_own_and_defaults_for_the_rest(kind: str) -> None:
    """An older row without a newer key still reads."""
    row = row_of({"kind": kind})
    assert through_the_ledger(row) == row


def test_defaults_fill_what_a_row_lacks() -> None:
    """As a reader of results sees it."""
    row = row_of(
        {"kind": "trial_finished", "trial_id": "a", "outcome": "crashed", "reason": "exit_1", "level": 3}
    )
    assert isinstance(row, TrialFinishedRow)
    assert row.result().level is Level.L3
    assert row.result().log == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"kind": "telepathy"}, "is of the kind 'telepathy' that this build"),
        ({"kind": "notice", "colour": "red"}, "has a field 'colour' that this build"),
        (
            {"kind": "trial_started", "clock": {"kind": "cpu", "tides": 2}},
            "has a field 'clock.tides' that this",
        ),
        ({"kind": "proposed", "usage": {"smiles": 2}}, "has a field 'usage.smiles' that this build"),
        ({"kind": "decided", "decision": "perhaps"}, "decision: Input should be 'keep' or 'discard'"),
        ({"kind": "notice", "text": 3}, "text: Input should be a valid string"),
        ({"seq": 3}, "is of the kind None"),
    ],
)
def test_what_this_build_does_not_know_is_one_clear_line(row: dict[str, Any], said: str) -> None:
    """An unknown kind or field, nested ones included, was written by a newer build; a wrong value is named."""
    with pytest.raises(LedgerError) as caught:
        row_of({"seq": 3, **row})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("ledger row 3 (")


def test_bytes_and_sets_are_refused() -> None:
    """Nothing is turned into a string by accident."""
    with pytest.raises(TypeError):
        to_json(Proposal({"a": b"x"}, "why"))
    with pytest.raises(TypeError):
        to_json({1, 2})
    with pytest.raises(TypeError):
        ProposedRow(state={"seen": {1, 2}}).content()


def test_the_documentation_is_made_from_the_classes() -> None:
    """docs/ledger.md holds exactly what `harness ledger schema` prints."""
    text = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert schema() in text
