"""The session's own bookkeeping (from ledger rows) and the one that the simulations use see the same evidence."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.keep.standing import Standing
from harness.ledger.plain import to_json
from harness.ledger.rows import row_of
from harness.ledger.session_record import SessionRecord
from harness.protocols import KeepRule
from harness.records import Action, Decision, KeepEvidence, Outcome, Role, Score, TrialResult
from harness.session.evidence import for_keep, race_trial


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

    def trial(self, commit: str, role: Role, loss: float, proposal: int | None = None) -> None:
        name = f"t{next(self.numbers)}"
        if role in (Role.STEP_HEAD, Role.STEP_CERTIFIED):
            name = race_trial(self.state, role) + name
        about = {"commit": commit, "role": role.value, "seed": 1, "trial_id": name, "proposal": proposal}
        self.row("trial_started", **about)
        finished = to_json(TrialResult(name, Outcome.COMPLETED, ""))
        assert isinstance(finished, dict)
        self.row("trial_finished", **{**finished, **about})
        scored = to_json(Score("scored", self.sign * loss))
        assert isinstance(scored, dict)
        about.pop("seed")
        scored.pop("items", None)  # in a file of their own; the row holds its digest
        self.row("scored", split="val", **{**scored, **about})

    def evidence(self) -> KeepEvidence:
        return for_keep(self.state, self.state.open, None)


def same(one: KeepEvidence, other: KeepEvidence) -> bool:
    """Equal but for the order of configurations, which no rule looks at."""
    groups = [sorted(seen.configurations) for seen in (one, other)]
    return groups[0] == groups[1] and replace(one, configurations=()) == replace(other, configurations=())


@pytest.mark.parametrize("rule", [Race(), Stack(provisional_keeps=3)], ids=["race", "stack"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_session_and_a_simulated_night_decide_on_the_same_evidence(direction: str, rule: KeepRule) -> None:
    """Sixty proposals, many of them real improvements, so that incumbents change; step for step the same."""
    rng, book, standing = np.random.default_rng(3), Book(direction), Standing()
    for _ in range(rule.incumbent_runs):
        loss = float(rng.normal())
        book.trial("base", Role.BASELINE, loss)
        standing = standing.with_incumbent(loss)
    level = certified = 0.0
    provisional = rule.settling_trials > 0
    for proposal in range(1, 61):
        while (step := rule.between(book.evidence())).action is not Action.PROPOSE:
            assert same(book.evidence(), standing.evidence())
            loss = float(rng.normal())
            if step.action is Action.RUN_INCUMBENT:
                book.trial(book.state.incumbent, Role.INCUMBENT, loss - level)
                standing = standing.with_incumbent(loss - level)
            elif step.action is Action.RUN_HEAD:
                book.trial(book.state.incumbent, Role.STEP_HEAD, loss - level)
                standing = standing.with_head(loss - level)
            elif step.action is Action.RUN_CERTIFIED:
                book.trial(book.state.certified_commit, Role.STEP_CERTIFIED, loss - certified)
                standing = standing.with_certified(loss - certified)
            else:
                certify = step.action is Action.CERTIFY
                level, certified = (level, level) if certify else (certified, certified)
                book.row("settled", action=step.action.value, race=len(standing.races) + 1)
                standing = standing.settled(certify)
        effect, commit, candidate = 2 * float(rng.normal()), f"c{proposal}", ()
        book.row("proposed", proposal=proposal, commit=commit)
        while True:
            assert same(book.evidence(), standing.evidence(candidate))
            step = rule.next_step(book.evidence())
            loss = float(rng.normal()) - level
            if step.action is Action.RUN_INCUMBENT:
                book.trial(book.state.incumbent, Role.INCUMBENT, loss, proposal)
                standing = standing.with_incumbent(loss, beside=bool(candidate))
            elif step.action is Action.RUN_CANDIDATE:
                book.trial(commit, Role.CANDIDATE, loss - effect, proposal)
                candidate = (*candidate, loss - effect)
            else:
                break
        kept = step.action is Action.KEEP
        level += effect * kept
        standing = (
            standing.kept(candidate, provisional=provisional) if kept else standing.discarded(candidate)
        )
        decision = Decision.KEEP if kept else Decision.DISCARD
        book.row(
            "decided",
            proposal=proposal,
            decision=decision.value,
            commit=commit,
            provisional=kept and provisional,
        )
    assert len(book.state.keeps) >= 3
    assert not provisional or {True} <= set(standing.races)
