"""The session's own bookkeeping (from ledger rows) and the one that the simulations use see the same evidence."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from harness.keep.race import Race
from harness.keep.standing import Standing
from harness.ledger.plain import to_json
from harness.ledger.rows import row_of
from harness.ledger.session_record import SessionRecord
from harness.records import Action, Decision, KeepEvidence, Outcome, Role, Score, TrialResult
from harness.session.evidence import for_keep


class Book:
    """Ledger rows of a session whose trials score what the test says; applied to a state as they come."""

    def __init__(self, direction: str) -> None:
        self.state, self.numbers, self.sign = (
            SessionRecord(),
            itertools.count(1),
            1 if direction == "minimize" else -1,
        )
        self.row("session_started", direction=direction, baseline_commit="base", level=2, certified=True)

    def row(self, kind: str, **values: object) -> None:
        self.state.add(row_of({"kind": kind, "time": "2026-01-01T00:00:00+00:00", **values}))

    def trial(self, commit: str, role: Role, loss: float) -> None:
        name = f"t{next(self.numbers)}"
        about = {"commit": commit, "role": role.value, "seed": 1, "trial_id": name, "proposal": None}
        self.row("trial_started", **about)
        finished = to_json(TrialResult(name, Outcome.COMPLETED, ""))
        assert isinstance(finished, dict)
        self.row("trial_finished", **{**finished, **about})
        scored = to_json(Score("scored", self.sign * loss))
        assert isinstance(scored, dict)
        about.pop("seed")
        self.row("scored", split="val", **{**scored, **about})

    def evidence(self) -> KeepEvidence:
        assert self.state.open is not None
        return for_keep(self.state, self.state.open, None)


def same(one: KeepEvidence, other: KeepEvidence) -> bool:
    """Equal but for the order of configurations, which no rule looks at."""
    groups = [sorted(seen.configurations) for seen in (one, other)]
    return groups[0] == groups[1] and replace(one, configurations=()) == replace(other, configurations=())


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_session_and_a_simulated_night_decide_on_the_same_evidence(direction: str) -> None:
    """Sixty proposals, many of them real improvements, so that incumbents change; step for step the same."""
    rng, rule, book, standing = np.random.default_rng(3), Race(), Book(direction), Standing()
    for _ in range(rule.incumbent_runs):
        loss = float(rng.normal())
        book.trial("base", Role.BASELINE, loss)
        standing = standing.with_incumbent(loss)
    level, keeps = 0.0, 0
    for proposal in range(1, 61):
        effect, commit, candidate = 2 * float(rng.normal()), f"c{proposal}", ()
        book.row("proposed", proposal=proposal, commit=commit, usage={})
        while True:
            assert same(book.evidence(), standing.evidence(candidate))
            step = rule.next_step(book.evidence())
            loss = float(rng.normal()) - level
            if step.action is Action.RUN_INCUMBENT:
                book.trial(book.state.incumbent, Role.INCUMBENT, loss)
                standing = standing.with_incumbent(loss)
            elif step.action is Action.RUN_CANDIDATE:
                book.trial(commit, Role.CANDIDATE, loss - effect)
                candidate = (*candidate, loss - effect)
            else:
                break
        kept = step.action is Action.KEEP
        keeps, level = keeps + kept, level + effect * kept
        standing = standing.kept(candidate) if kept else standing.discarded(candidate)
        decision = Decision.KEEP if kept else Decision.DISCARD
        book.row("decided", proposal=proposal, decision=decision.value, commit=commit, statistics={})
    assert keeps >= 3
