"""Numbers and rows in words, the same in every view."""

from collections.abc import Iterable

from harness.ledger.record_parts import Proposal, Row, number
from harness.ledger.session_record import Session
from harness.report.escape import one_line

_BARS = "▁▂▃▄▅▆▇█"


def score_text(value: float | None) -> str:
    """Four significant digits and more for large numbers; "-" for none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.01 <= abs(value) < 10_000 or value == 0 else f"{value:.4g}"


def signed(value: float) -> str:
    return f"{value:+.4f}" if abs(value) >= 0.00095 or value == 0 else f"{value:+.2e}"


def duration(seconds: float) -> str:
    """42 s, 3 min 05 s, 2 h 07 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def sparkline(values: Iterable[float], width: int = 40) -> str:
    """The last `width` values as one line of bars; the best to see is in the shape, not in the height."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def why(proposal: Proposal) -> str:
    """The reason of a decision in one line, with the guard that gave it."""
    rejected = proposal.rejection
    parts = [proposal.reason or (str(rejected.get("reason", "")) if rejected else "")]
    message = proposal.message or (str(rejected.get("message", "")) if rejected else "")
    return one_line(": ".join(part for part in [*parts, message] if part), 160)


def certificate_lines(session: Session) -> list[str]:
    """What the session may claim, in plain words."""
    row = session.certificate
    if not row:
        if not session.ended:
            return []
        nothing = "nothing was kept: there is no gain to certify"
        return [
            nothing if not session.keeps else "certificate: none was made; the kept scores are claims only"
        ]
    unit = one_line(session.unit, 40)
    if row.get("gain") is None:
        return ["certificate NOT passed: a fresh trial had no score, so there is no gain to report"]
    confidence = number(row.get("confidence"), 0.95)
    passed = "passed" if row.get("passed") else "NOT passed"
    interval = f"{signed(number(row.get('low')))} to {signed(number(row.get('high')))}"
    lines = [
        f"certificate {passed}: gain {signed(number(row.get('gain')))} {unit}"
        f" ({confidence:.0%} interval {interval}, p = {number(row.get('p'), 1.0):.3g})"
        f" on the sealed split"
    ]
    if row.get("claimed") is not None:
        lines.append(f"claimed by the search on val: {signed(number(row.get('claimed')))} {unit}")
    if not row.get("certified", session.isolation_certified):
        lines.append(UNVERIFIED)
    return lines


UNVERIFIED = (
    "UNVERIFIED: isolation was not proven on this machine; a candidate could have forged these numbers"
)


def cost_text(session: Session) -> str:
    """Trial time, dollars and tokens so far."""
    parts = [f"{len(session.trials)} trials in {duration(session.trial_seconds())}"]
    if session.tokens:
        parts.append(f"{session.tokens:,} tokens")
    if session.dollars:
        parts.append(f"${session.dollars:.2f}")
    return " · ".join(parts)


def level_text(level: object) -> str:
    """L0 to L3, however the row spells it."""
    return f"L{level}" if isinstance(level, int) else one_line(level or "?", 10)


def title(session: Session) -> str:
    """Task, agent, rule and isolation in one line."""
    row: Row = session.started
    level = f"isolation {level_text(row.get('level'))}" + (
        "" if session.isolation_certified else " UNVERIFIED"
    )
    choices = row.get("choices") or {}
    named = [f"{group} {choices[group]}" for group in ("program", "keep", "budget") if choices.get(group)]
    parts = [f"task {row.get('task', '?')}", f"agent {row.get('agent', '?')}", *named, level]
    return one_line(" · ".join(parts), 160)
