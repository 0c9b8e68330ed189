"""Measures the certificate: fresh trials of the head and of the baseline, interleaved, on the sealed split.

The arithmetic is in certificate.py. Trials of an earlier certificate of the same head are never used again.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from harness.keep import certificate
from harness.keep.item_interval import item_interval
from harness.ledger.rows import CertificateRow
from harness.records import Files, ItemScores, Observation, Role, Split
from harness.session import item_files
from harness.session.names import certificate_pair
from harness.session.trial_runner import TrialRunner
from harness.trial.conditions import alike

_ROLES = (Role.CERTIFICATE_HEAD, Role.CERTIFICATE_BASELINE)


def certify(trial_runner: TrialRunner, files_of: Callable[[str], Files], trials: int) -> CertificateRow:
    """`trials` fresh runs a side, then one row. An interrupted certificate is gone on with.

    A failed run counts as that side's worst score: the certificate then cannot pass. Raises InfrastructureError.
    """
    state, number = trial_runner.state, len(trial_runner.state.certificates) + 1
    commits = dict(zip(_ROLES, (state.incumbent, state.baseline), strict=True))
    prefix = {role: f"cert{number}-{role.value.removeprefix('certificate_')}" for role in _ROLES}
    left = [
        (commit, role, f"{prefix[role]}-{run}", certificate_pair(number, run))
        for run in range(1, trials + 1)
        for role, commit in commits.items()
    ]
    made = {
        seen.trial_id.partition("~")[0] for commit in commits.values() for seen in state.observations[commit]
    }
    left = [each for each in left if each[2] not in made]
    trial_runner.expect(
        [
            trial_runner.order(files_of(commit), commit, role, name, split=Split.TEST, pair=pair)
            for commit, role, name, pair in left
        ]
    )
    for commit, role, name, pair in left:
        trial_runner.measure(files_of(commit), commit, role, name, split=Split.TEST, pair=pair)
    trial_runner.expect([])
    losses, scores, machines, items = {}, {}, {}, {}
    for role, commit in commits.items():
        seen = [
            trial for trial in state.counted(commit, role) if trial.trial_id.startswith(f"{prefix[role]}-")
        ]
        scores[role] = [trial.score for trial in seen]
        machines[role] = [trial.machine for trial in seen]
        items[role] = _items(trial_runner, seen)
        losses[role] = [state.loss(trial.score) if trial.score is not None else None for trial in seen]
    found = certificate.certify(losses[_ROLES[0]], losses[_ROLES[1]])
    same_machine = alike(machines[_ROLES[0]], machines[_ROLES[1]])
    found = dataclasses.replace(found, passed=found.passed and same_machine)
    of_items = _item_interval(trial_runner, items)
    claimed_scores = [state.mean_score(commits[role]) for role in _ROLES]
    row = CertificateRow(
        head_commit=state.incumbent,
        baseline_commit=state.baseline,
        split=Split.TEST,
        head_scores=scores[_ROLES[0]],
        baseline_scores=scores[_ROLES[1]],
        claimed=_claimed(trial_runner, claimed_scores),
        certified=state.certified,
        conditions_alike=same_machine,
        val_minus_test={
            side: _gap(state.mean_score(commits[role]), state.mean_score(commits[role], role))
            for side, role in zip(("head", "baseline"), _ROLES, strict=True)
        },
        **of_items,
        **dataclasses.asdict(found),
    )
    written = trial_runner.record(row)
    assert isinstance(written, CertificateRow)
    return written


def _items(trial_runner: TrialRunner, seen: list[Observation]) -> list[ItemScores | None]:
    """What each trial's score is made of; None where the task tells nothing or the file is not what was written."""
    records = [trial_runner.state.trial(trial.trial_id) for trial in seen]
    digests = [record.scored.items_sha256 if record and record.scored else "" for record in records]
    return [
        item_files.read(trial_runner.folder, trial.trial_id, digest) if digest else None
        for trial, digest in zip(seen, digests, strict=True)
    ]


def _item_interval(
    trial_runner: TrialRunner, items: Mapping[Role, list[ItemScores | None]]
) -> dict[str, Any]:
    """The certificate row's fields about items, none where a trial of either side has none."""
    sides = [[each for each in items[role] if each is not None] for role in _ROLES]
    if not all(sides) or any(len(side) < len(items[role]) for side, role in zip(sides, _ROLES, strict=True)):
        return {}
    found = item_interval(sides[0], sides[1], trial_runner.state.sign)
    if found is None:
        return {}
    about = {"item_kind": sides[0][0].what, "items": found.items}
    return {**about, "item_low": found.low, "item_high": found.high}


def _claimed(trial_runner: TrialRunner, scores: list[float | None]) -> float | None:
    """The gain that the search's own trials suggest: too high, because they were selected."""
    head, baseline = scores
    if head is None or baseline is None:
        return None
    return trial_runner.state.loss(baseline) - trial_runner.state.loss(head)


def _gap(val: float | None, test: float | None) -> float | None:
    """How much the search's split flatters: for the head more than for the baseline means that it was overfitted."""
    return None if val is None or test is None else val - test
