"""A comparison in words for a terminal, and as data for other programs."""

import json
import math
from dataclasses import asdict
from typing import Any

from harness.compare.comparison import ArmSummary, Comparison
from harness.compare.statistics import Difference
from harness.report.escape import one_line
from harness.report.words import signed


def text(found: Comparison) -> str:
    """For a terminal."""
    lines = [f"certified gain{' ' if found.relative else ', '}{one_line(found.unit, 40)}", ""]
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
