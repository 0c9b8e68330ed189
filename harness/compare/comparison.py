"""The arms of a sweep beside each other, in numbers: gain, cost, and which pairs differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compare.sessions import SessionResult, arms_of, gains, hours_to_target, results
from harness.compare.statistics import Difference, Estimate, Gain, differences, estimate
from harness.errors import UserError
from harness.ledger.session_record import load
from harness.report.escape import one_line


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """An arm in numbers. reached: sessions whose claimed gain reached the target, target_hours: their median time."""

    arm: str
    sessions: int
    failed: int
    unfinished: int
    gain: Estimate | None
    passed: int
    keeps: int
    false_keeps: float
    hours: float
    dollars: float
    gain_per_hour: float | None
    gain_per_dollar: float | None
    reached: int
    target_hours: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """relative: gains are shares of the baseline because several tasks are compared.

    differences: of pairs of arms that have a task in common; notes name the others.
    """

    folder: Path
    rows: list[SessionResult]
    summaries: list[ArmSummary]
    differences: list[Difference]
    relative: bool
    unit: str
    target: float | None
    notes: list[str]


def compare(folder: Path, target: float | None = None) -> Comparison:
    """Raises UserError when there is nothing to compare, LedgerError when a ledger is damaged."""
    not_begun: list[Path] = []
    rows = results(folder, not_begun.append)
    if not rows and not_begun:
        load(not_begun[0])  # says why it holds none
    if not rows:
        raise UserError(f"{folder} holds no session and no sweep")
    tasks = {row.task for row in rows if row.status != "failed" or row.task}
    relative = len(tasks) > 1
    arms = arms_of(rows)
    goal = _target(arms, relative) if target is None else target
    summaries = [_summary(arm, found, relative, goal) for arm, found in arms.items()]
    able = {arm: gains(found, relative) for arm, found in arms.items()}
    able = {arm: found for arm, found in able.items() if found}
    unit = (
        "as a share of the baseline's score" if relative else next((row.unit for row in rows if row.unit), "")
    )
    pairs = differences(able)
    alike = [pair for pair in pairs if _tasks(able, pair.first) & _tasks(able, pair.second)]
    notes = [*_notes(rows), *(f"{each.name} has not begun and is left out" for each in not_begun)] + [
        one_line(f"{pair.first} against {pair.second}: different tasks, not compared", 300)
        for pair in pairs
        if pair not in alike
    ]
    return Comparison(folder, rows, summaries, alike, relative, unit, goal, notes)


def _tasks(gains_by_arm: Mapping[str, Sequence[Gain]], arm: str) -> set[str]:
    return {gain.task for gain in gains_by_arm[arm]}


def _target(arms: dict[str, list[SessionResult]], relative: bool) -> float | None:
    """Half of the best arm's mean certified gain; none with several tasks, whose units differ."""
    means = [estimate(found).mean for rows in arms.values() if (found := gains(rows, relative))]
    return None if relative or not means or max(means) <= 0 else max(means) / 2


def _summary(arm: str, rows: Sequence[SessionResult], relative: bool, target: float | None) -> ArmSummary:
    found = gains(rows, relative)
    gain = estimate(found) if found else None
    counted = [row for row in rows if row.counts]
    hours, dollars = sum(row.hours for row in counted), sum(row.dollars for row in counted)
    total = sum(each.value for each in found)
    times = [hours_to_target(row, target) for row in counted] if target is not None else []
    reached = sorted(time for time in times if time is not None)
    return ArmSummary(
        arm=arm,
        sessions=len(counted),
        failed=sum(row.status == "failed" for row in rows),
        unfinished=sum(not row.counts for row in rows),
        gain=gain,
        passed=sum(row.passed for row in counted),
        keeps=sum(row.keeps for row in counted),
        false_keeps=sum(row.false_keeps for row in counted),
        hours=hours,
        dollars=dollars,
        gain_per_hour=total / hours if hours else None,
        gain_per_dollar=total / dollars if dollars else None,
        reached=len(reached),
        target_hours=reached[len(reached) // 2] if 2 * len(reached) > len(counted) else None,
    )


def _notes(rows: Sequence[SessionResult]) -> list[str]:
    notes = [f"{row.arm}, repeat {row.repeat} failed: {row.note}" for row in rows if row.status == "failed"]
    notes += [f"{row.folder.name} has not ended and is left out" for row in rows if row.status == "open"]
    notes += [
        f"{row.folder.name} was never certified and is left out: its gain is a claim"
        for row in rows
        if row.status == "ended" and row.gain is None
    ]
    if not all(row.isolation_certified for row in rows):
        notes.append("UNVERIFIED: isolation was not proven in every session")
    return [one_line(note, 300) for note in notes]
