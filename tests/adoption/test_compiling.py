"""A script that compiles in its first steps: it does so before the gate, in a rehearsal."""

import json

import pytest
from adopted import Adopted, Measure
from shapes import FIXED, changed

pytestmark = pytest.mark.slow
COMPILED = changed(FIXED, ("loader = make", "model = torch.compile(model, dynamic=False)\nloader = make"))


def with_facts(adopted: Adopted, **facts: object) -> bytes:
    """adopted.json with other facts."""
    return json.dumps({**json.loads(adopted.rig.task.source()["adopted.json"]), **facts}).encode()


def test_what_a_script_compiles_is_not_billed(adopted: Adopted, measure: Measure) -> None:
    """The same weights to the bit, for clearly less billed time; the rehearsal stands among the claims.

    It makes its steps on random tokens in a process of its own: neither weights nor dice nor data of the trial know.
    """
    unseen = {"adopted.json": with_facts(adopted, editable=[])}
    cold, plain_score = measure(COMPILED, seconds=900, more=unseen)
    warm, score = measure(COMPILED, seconds=900)  # an edit that begins to compile: the adopted script does not
    assert plain_score.value is not None
    assert score.value == plain_score.value
    assert warm.claims["rehearsal_seconds"] > 0
    assert "rehearsal_seconds" not in cold.claims
    assert warm.billed_seconds < 0.7 * cold.billed_seconds


def test_a_script_that_fails_in_its_rehearsal_fails_in_its_trial(measure: Measure) -> None:
    """And its last words are those of the trial."""
    broken = changed(COMPILED, ("loss.backward()", "raise RuntimeError('no luck today')"))
    result, _ = measure(broken, scored=False)
    assert result.reason == "exit_1"
    assert "no luck today" in result.log
