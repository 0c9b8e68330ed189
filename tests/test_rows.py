"""Records survive the ledger exactly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger.rows import from_json, to_json
from harness.records import Level, Observation, Proposal, Score, TrialResult, Usage


@pytest.mark.parametrize("kind", [TrialResult, Score, Usage])
@given(data=st.data())
def test_records_come_back_equal(kind: type, data: st.DataObject) -> None:
    """To JSON text and back gives an equal record, whatever its values are."""
    record = data.draw(st.builds(kind, **_strategies(kind)))
    text = json.dumps(to_json(record), allow_nan=False)
    assert from_json(kind, {**json.loads(text), "unknown": 1}) == record


def _strategies(kind: type) -> dict[str, st.SearchStrategy]:
    finite = st.floats(allow_nan=False, allow_infinity=False)
    special = {
        "claims": st.dictionaries(st.text(), finite, max_size=3),
        "side": st.dictionaries(st.text(), finite),
    }
    floats = {"value": st.none() | finite} if kind is Score else {}
    names = {name for name, hint in kind.__annotations__.items() if hint is float}
    own = {name: strategy for name, strategy in special.items() if name in kind.__annotations__}
    return {**dict.fromkeys(names, finite), **floats, **own}


def test_defaults_fill_what_a_row_lacks() -> None:
    """An older row without a newer key still reads."""
    result = from_json(TrialResult, {"trial_id": "a", "outcome": "crashed", "reason": "exit_1", "level": 3})
    assert result.level is Level.L3
    assert result.log == ""


def test_bytes_and_sets_are_refused() -> None:
    """Nothing is turned into a string by accident."""
    with pytest.raises(TypeError):
        to_json(Proposal({"a": b"x"}, "why"))
    with pytest.raises(TypeError):
        to_json({1, 2})
    assert Observation.__name__
