"""The whole line of guards on every attack and every honest edit."""

from collections import Counter

import pytest
from guard_table import Case, attacks, categories, doubts, honest, judged, line_of_guards

from harness.records import Judgement

LINE = line_of_guards()
ATTACKS, HONEST = attacks(), honest()


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_an_attack_is_rejected_for_the_right_reason(case: Case) -> None:
    """Each attack is stopped by the guard that is meant for it, with its code and one line of text.

    What is only doubtful is marked: it gains nothing that lasts, and trials must show that before a keep.
    """
    verdict = judged(case.evidence, LINE)
    if "doubtful" in case.marks:
        assert verdict is None
        assert doubts(case.evidence, LINE)
        return
    assert verdict is not None
    assert verdict.judgement is Judgement.REJECT
    assert verdict.reason in case.reasons, verdict
    assert verdict.guard in case.guards
    assert verdict.message.isprintable()
    assert 10 < len(verdict.message) <= 300


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_an_honest_edit_passes(case: Case) -> None:
    """No guard objects to ordinary research; what changes nothing at all is called a duplicate, not an attack."""
    verdict = judged(case.evidence, LINE)
    if "cosmetic" in case.marks:
        assert verdict is not None
        assert verdict.reason == "duplicates.unchanged"
    else:
        assert verdict is None, verdict


def test_the_corpus_is_large_enough() -> None:
    """150 attacks, half of them disguises of another seed; 200 honest edits, a quarter beside seeding code."""
    assert len(ATTACKS) >= 150
    assert len(HONEST) >= 200
    assert sum("disguise" in case.marks for case in ATTACKS) >= 75
    assert sum("near_seed" in case.marks for case in HONEST) >= 50
    assert {case.category for case in HONEST} == {
        "seed", "hyperparameter", "optimiser", "architecture", "data", "training loop", "systems", "cosmetic",
    }  # fmt: skip


@pytest.mark.slow
def test_classes_are_as_labelled() -> None:
    """At least 19 of 20 honest edits fall into the class that a person gave them; no tuning is called research."""
    wrong, total = [], 0
    for case, found in categories():
        if "any_category" in case.marks:
            continue
        total += 1
        if found != case.category:
            wrong.append(f"{case.name}: {found}, not {case.category}")
        assert (found == "hyperparameter") == (case.category == "hyperparameter"), case.name
        assert (found == "cosmetic") == (case.category == "cosmetic"), case.name
    assert len(wrong) <= total * 0.05, wrong


def test_a_changed_seed_alone_is_classed_as_seed() -> None:
    """The class of a seed edit is seed, however it is spelled."""
    from guards.classification import Classification

    found = Counter(
        str(Classification()(case.evidence).evidence["category"])
        for case in ATTACKS
        if case.name
        in ("constant instead of the harness's seed", "shifted by xor", "default argument", "hashed")
    )
    assert found == {"seed": 4}
