"""What a session found, in one plain sentence: the first thing that every page and picture says."""

from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord
from harness.report.escape import one_line
from harness.report.words import counted, score_text

_MINUS, _ARROW = "\u2212", "\u2192"


def headline(session: SessionRecord) -> str:
    """Ideas, keeps, certified steps; from which score to which; what of it is certified."""
    ideas = len(session.decided)
    if not session.baseline_values and not ideas:
        return "The baseline is being measured." if session.length else "Nothing has happened yet."
    unit = one_line(session.unit, 40)
    if not ideas and not session.ended:
        first = "The first idea is being tried" if session.open else "No idea yet"
        return f"{first}: the baseline stands at {score_text(session.baseline_score)} {unit}".rstrip()
    said = f"{counted(ideas, 'idea')}{_untold(session)}"
    if not session.keeps:
        return f"{said}, none kept: the baseline stands at {score_text(session.baseline_score)} {unit}"
    steps = len(session.certified_steps)
    said += f", {len(session.keeps)} kept"
    said += f", {counted(steps, 'certified step')}" if session.settlements else ""
    return f"{said}: {_claim(session, unit)}, {certified_part(session)}"


def _untold(session: SessionRecord) -> str:
    """How many of the ideas were never judged; nothing where all were."""
    count = sum(proposal.untold for proposal in session.decided)
    return f" ({count} of them: cannot tell)" if count else ""


def _claim(session: SessionRecord, unit: str) -> str:
    old, new = session.baseline_score, session.incumbent_score
    change = claimed_change(session)
    said = f"{score_text(old)} {_ARROW} {score_text(new)} {unit}"
    return said if change is None else f"{said} ({percent(change)})"


def certified_part(session: SessionRecord) -> str:
    """What the certificate says of the change, or that there is none."""
    row = session.certificate
    if row is None:
        return "not certified" if session.ended else "not certified yet"
    word = "certified" if row.passed else "certificate not passed:"
    said = f"{word} {certified_change(session)}".strip()
    proven = session.isolation_certified if row.certified is None else row.certified
    return said if proven else f"{said}, UNVERIFIED: isolation was not proven"


def certified_change(session: SessionRecord) -> str:
    """Certified change of the score with its interval: in per cent of the baseline, or in its unit where that is 0."""
    row = session.certificate
    if row is None or row.gain is None:
        return "no score"
    scale, unit = _scale(session, row)
    ends = sorted(session.sign * end * scale for end in (row.low or 0.0, row.high or 0.0))
    middle = signed_short(session.sign * row.gain * scale)
    return f"{middle}{unit} [{signed_short(ends[0])}, {signed_short(ends[1])}]"


def _scale(session: SessionRecord, row: CertificateRow) -> tuple[float, str]:
    scores = [value for value in row.baseline_scores if value is not None]
    base = sum(scores) / len(scores) if scores else session.baseline_score
    return (100 / abs(base), " %") if base else (1.0, f" {one_line(session.unit, 20)}")


def claimed_change(session: SessionRecord) -> float | None:
    """Of the search's own scores, incumbent against baseline, as a share; None without a baseline to divide by."""
    old, new = session.baseline_score, session.incumbent_score
    return None if not old or new is None else (new - old) / abs(old)


def percent(share: float) -> str:
    """With its sign: +2.1 %."""
    return f"{signed_short(100 * share)} %"


def signed_short(value: float) -> str:
    """One decimal; more where that would be 0."""
    decimals = 1 if abs(value) >= 0.05 or value == 0 else 2 if abs(value) >= 0.005 else 4
    return f"{value:+.{decimals}f}".replace("-", _MINUS)
