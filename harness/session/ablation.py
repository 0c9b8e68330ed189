"""Measures which changes of a stack carry it: fresh trials of its head with and without each, on val, by turns.

A change that later ones build on cannot be taken back alone; it is measured where it came in: what was there before it
against the same with it, both of which are commits that exist.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.keep.ablation import CONFIDENCE, How, contribution
from harness.keep.noise_level import NoiseLevel, pooled
from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import AblationRow
from harness.ledger.session_record import SessionRecord
from harness.records import AblatedChange, Files, Observation, Role
from harness.trial.conditions import alike

if TYPE_CHECKING:
    from harness.session.folder import OpenSession

_HEAD_FACTOR = 2  # every comparison uses the head's trials


@dataclass(frozen=True, slots=True)
class KeptStack:
    """step: number of the certified step, 0: all keeps. start: the commit that the first of them was built on."""

    step: int
    head: str
    start: str
    keeps: list[ProposalRecord]


@dataclass(frozen=True, slots=True)
class _WithAndWithout:
    """Two configurations by name: without a change and with it."""

    proposal: int
    how: How
    without: str
    with_it: str


def stack_of(state: SessionRecord, step: int | None, folder: Path) -> KeptStack:
    """The certified step of that number, or everything that was kept. Raises UserError when there is no such thing."""
    if step is None:
        if not state.keeps:
            raise UserError(f"{folder} kept nothing: there is nothing to take back")
        return KeptStack(0, state.incumbent, state.baseline, state.keeps)
    for row in state.certified_steps:
        if row.race == step:
            keeps = [state.proposals[number] for number in row.keeps]
            return KeptStack(step, row.head_commit, row.certified_commit, keeps)
    known = ", ".join(str(row.race) for row in state.certified_steps)
    there = f"its certified steps are {known}" if known else "it has no certified step"
    raise UserError(f"step={step}: {folder} has no such certified step; {there}")


def ablate(bench: "OpenSession", stack: KeptStack, trials: int) -> AblationRow:
    """Raises UserError when the head itself fails, InfrastructureError. An interrupted ablation is gone on with.

    trials: of each configuration; of the head twice as many.
    """
    configurations, contrasts = _planned(bench.workspace.files, bench.workspace.without, stack)
    total = trials * (len(configurations) + _HEAD_FACTOR - 1)
    print(f"{len(stack.keeps)} changes: {total} trials", file=sys.stderr, flush=True)
    seen = _measured(bench, stack, configurations, trials)
    if any(trial.score is None for trial in seen["head"]):
        raise UserError(
            "a trial of the stack's own head ended without a score: nothing can be compared with it"
        )
    state = bench.trial_runner.state
    losses = {
        name: [None if trial.score is None else state.loss(trial.score) for trial in of_it]
        for name, of_it in seen.items()
    }
    noise = _noise(state, losses)

    def told(one: _WithAndWithout) -> AblatedChange:
        sides = (losses[one.without], losses[one.with_it])
        same = alike(*([trial.machine for trial in seen[name]] for name in (one.without, one.with_it)))
        return contribution(one.proposal, one.how, sides, noise, len(contrasts), same)

    row = AblationRow(
        step=stack.step,
        head_commit=stack.head,
        start_commit=stack.start,
        changes=[told(one) for one in contrasts],
        confidence=CONFIDENCE,
    )
    written = bench.trial_runner.record(row)
    assert isinstance(written, AblationRow)
    return written


def _planned(
    files_of: Callable[[str], Files], without: Callable[[str, str], Files | None], stack: KeptStack
) -> tuple[dict[str, Files], list[_WithAndWithout]]:
    """What is measured, by name, and which two are compared for the whole and for each change."""
    configurations = {"head": files_of(stack.head), "start": files_of(stack.start)}
    contrasts = [_WithAndWithout(0, "whole", "start", "head")]
    before = "start"
    for keep in stack.keeps if len(stack.keeps) > 1 else ():
        name, after = f"without-{keep.number}", f"after-{keep.number}"
        after = "head" if keep is stack.keeps[-1] else after
        if (taken_back := without(keep.commit, stack.head)) is not None:
            configurations[name] = taken_back
            contrasts.append(_WithAndWithout(keep.number, "taken_back", name, "head"))
        else:
            configurations.setdefault(before, files_of(keep.answer.parent))
            configurations.setdefault(after, files_of(keep.commit))
            contrasts.append(_WithAndWithout(keep.number, "added", before, after))
        before = after
    return configurations, contrasts


def _measured(
    bench: "OpenSession", stack: KeptStack, configurations: dict[str, Files], trials: int
) -> dict[str, list[Observation]]:
    """Round after round, every other one backwards: what drifts evenly, drifts alike for all."""
    order = ["head", *(name for name in configurations if name != "head"), "head"]
    seen: dict[str, list[Observation]] = {name: [] for name in configurations}
    for number in range(trials):
        for name in order if number % 2 == 0 else reversed(order):
            which = len(seen[name]) + 1
            seen[name].append(_trial(bench, configurations[name], f"{stack.head[:10]}-{name}", which))
    return seen


def _trial(bench: "OpenSession", files: Files, what: str, number: int) -> Observation:
    """One that an earlier, interrupted call already made is not repeated."""
    runner, name = bench.trial_runner, f"ablation-{what}-{number}"
    for seen in runner.state.observations.get(f"ablation-{what}", []):
        if seen.trial_id.partition("~")[0] == name:
            return seen
    return runner.measure(files, f"ablation-{what}", Role.ABLATION, name)


def _noise(state: SessionRecord, losses: dict[str, list[float | None]]) -> NoiseLevel:
    """Pooled within these configurations and the session's own."""
    own = [[loss for loss in each if loss is not None and math.isfinite(loss)] for each in losses.values()]
    found = pooled((*own, *state.confirmatory().values()), *(state.prior or (None, 0)))
    assert found is not None, "the head has two trials"
    return found
