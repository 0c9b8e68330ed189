"""`python -m harness.compare DIR`: which arm of a sweep is better, by how much, at what cost, and how sure that is."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.command import run
from harness.compare_data import Result, arms_of, gains, hours_to_target, results
from harness.compare_statistics import Difference, Estimate, differences, estimate
from harness.errors import UserError
from harness.report.escape import one_line
from harness.report.words import signed


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
    """relative: gains are shares of the baseline because several tasks are compared."""

    folder: Path
    rows: list[Result]
    summaries: list[ArmSummary]
    differences: list[Difference]
    relative: bool
    unit: str
    target: float | None
    notes: list[str]


def compare(folder: Path, target: float | None = None) -> Comparison:
    """Raises UserError when there is nothing to compare, LedgerError when a ledger is damaged."""
    rows = results(folder)
    if not rows:
        raise UserError(f"{folder} holds no session and no sweep")
    tasks = {row.task for row in rows if row.status != "failed" or row.task}
    relative = len(tasks) > 1
    arms = arms_of(rows)
    goal = _target(arms, relative) if target is None else target
    summaries = [_summary(arm, found, relative, goal) for arm, found in arms.items()]
    able = {arm: gains(found, relative) for arm, found in arms.items()}
    able = {arm: found for arm, found in able.items() if found}
    unit = "of the baseline" if relative else next((row.unit for row in rows if row.unit), "")
    return Comparison(folder, rows, summaries, differences(able), relative, unit, goal, _notes(rows))


def _target(arms: dict[str, list[Result]], relative: bool) -> float | None:
    """Half of the best arm's mean certified gain; none with several tasks, whose units differ."""
    means = [estimate(found).mean for rows in arms.values() if (found := gains(rows, relative))]
    return None if relative or not means or max(means) <= 0 else max(means) / 2


def _summary(arm: str, rows: Sequence[Result], relative: bool, target: float | None) -> ArmSummary:
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


def _notes(rows: Sequence[Result]) -> list[str]:
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


def text(found: Comparison) -> str:
    """For a terminal."""
    lines = [f"certified gain, {one_line(found.unit, 40)}", ""]
    head = ("arm", "gain", "95 % interval", "sessions", "keeps", "false", "per hour", "per $", "to target")
    rows = [head, *(_arm_cells(summary) for summary in found.summaries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        first, *others = (cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in
                          enumerate(zip(row, widths, strict=True)))  # fmt: skip
        lines.append("  ".join([first, *others]))
    lines += ["", *(sentence(pair) for pair in found.differences)]
    if found.target is not None:
        lines.append(
            f"target: a claimed gain of {signed(found.target)}; false: at most so many keeps by chance"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _arm_cells(arm: ArmSummary) -> tuple[str, ...]:
    gain = arm.gain
    interval = f"{signed(gain.low)} to {signed(gain.high)}" if gain and gain.low is not None and gain.high is not None \
        else "one session: none"  # fmt: skip
    failed = f" ({arm.failed} of them failed)" if arm.failed else ""
    reached = f"{arm.target_hours:.2g} h" if arm.target_hours is not None else "-"
    return (
        one_line(arm.arm, 60),
        signed(gain.mean) if gain else "-",
        interval if gain else "-",
        f"{arm.sessions}{failed}",
        str(arm.keeps),
        f"{arm.false_keeps:.1f}",
        "-" if arm.gain_per_hour is None else f"{arm.gain_per_hour:+.3g}",
        "-" if arm.gain_per_dollar is None else f"{arm.gain_per_dollar:+.3g}",
        f"{reached} ({arm.reached}/{arm.sessions})",
    )


def sentence(pair: Difference) -> str:
    """A verdict on two arms in plain words."""
    first, second = one_line(pair.first, 60), one_line(pair.second, 60)
    share, low, high = pair.beats
    chance = f"P(a session of the first ends higher) {share:.0%} ({low:.0%} to {high:.0%})"
    if pair.p is None or pair.low is None or pair.high is None:
        return f"cannot tell: {first} against {second}: too few sessions, or none differ; {chance}"
    interval = f"{signed(pair.low)} to {signed(pair.high)}"
    numbers = f"{signed(pair.mean)} ({interval}), p = {pair.p:.2g}, corrected {pair.p_holm:.2g}"
    if pair.verdict != "cannot tell":
        return f"{pair.verdict}: {first} than {second}: {numbers}; {chance}"
    if pair.repeats:
        more = f"about {pair.repeats} sessions an arm and task would tell if the difference is as it looks"
    else:
        more = "more than 1,000 sessions an arm would be needed, or the difference is nothing"
    return f"cannot tell: {first} against {second}: {numbers}; {more}; {chance}"


def as_json(found: Comparison) -> str:
    """Everything, for other programs."""

    def plain(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return str(value)

    data = {
        "unit": found.unit,
        "relative": found.relative,
        "target": found.target,
        "arms": [asdict(summary) for summary in found.summaries],
        "differences": [asdict(pair) for pair in found.differences],
        "sessions": [asdict(row) for row in found.rows],
        "notes": found.notes,
    }
    return json.dumps(data, indent=2, default=plain)


def main(argv: list[str]) -> int:
    """Prints the comparison; writes files when asked to. Raises UserError, LedgerError."""
    parser = argparse.ArgumentParser(prog="python -m harness.compare", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a sweep, or of several sessions")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also as a page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also as data")
    parser.add_argument(
        "--target", type=float, help="claimed gain to reach (default: half of the best arm's gain)"
    )
    options = parser.parse_args(argv)
    if not options.folder.is_dir():
        raise UserError(f"{options.folder} is not a folder; give the folder of a sweep")
    found = compare(options.folder, options.target)
    print(text(found))
    if options.html is not None:
        from harness.report.html_compare import html_comparison

        _write(options.html, html_comparison(found))
    if options.json is not None:
        _write(options.json, as_json(found))
    return 0


def _write(file: Path, content: str) -> None:
    from harness.report.local import write_atomically

    try:
        write_atomically(file, content)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(file)


if __name__ == "__main__":
    sys.exit(run(main, "harness.compare"))
