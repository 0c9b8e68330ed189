"""Claimed against certified: the search's own word beside the sealed measurement, each with its interval."""

from harness.ledger.session_record import SessionRecord
from harness.report.analysis import claimed_gain, half_width, noise
from harness.report.charts.svg import Drawing, Scale, tick_texts, ticks
from harness.report.words import signed


def gain_chart(session: SessionRecord, width: float, style: str) -> str:
    """Empty when nothing was kept."""
    claimed, row = claimed_gain(session), session.certificate
    if not session.keeps or claimed is None:
        return ""
    bars = [("claimed on val", claimed, *_claimed_interval(session, claimed), "whisker", "claimed")]
    if row is not None and row.gain is not None and row.low is not None and row.high is not None:
        bars.append(("certified, sealed", row.gain, row.low, row.high, "certified", "certified-dot"))
    ends = [0.0, *[value for bar in bars for value in bar[1:4]]]
    pad = 0.08 * (max(ends) - min(ends)) or 1e-6
    across = Scale(min(ends) - pad, max(ends) + pad, 140 if width > 500 else 110, width - 20)
    drawing = Drawing(width, 54 + 40 * len(bars), "claimed and certified gain with 95 % intervals")
    bottom = drawing.height - 30
    values = ticks(across.low, across.high, 6 if width > 500 else 3)
    for value, text in zip(values, tick_texts(values), strict=True):
        drawing.line(across(value), 8, across(value), bottom, "grid")
        drawing.text(across(value), bottom + 20, text, "axis middle")
    drawing.line(across(0), 8, across(0), bottom, "zero")
    for place, (name, value, low, high, line, dot) in enumerate(bars):
        y = 30 + 40 * place
        drawing.text(4, y + 4, name, "axis")
        drawing.line(across(low), y, across(high), y, line)
        for end in (low, high):
            drawing.line(across(end), y - 5, across(end), y + 5, line)
        drawing.dot(across(value), y, 5, dot, signed(value))
        drawing.text(across(value), y - 9, signed(value), "name middle halo")
    return drawing.svg(style)


def _claimed_interval(session: SessionRecord, claimed: float) -> tuple[float, float]:
    """From the pooled noise alone: it knows nothing of the selection, which is the point of the certificate."""
    found, last = noise(session), session.keeps[-1]
    head = half_width(found, sum(trial.value is not None for trial in last.candidate_trials))
    base = half_width(found, len(session.baseline_values))
    half = ((head or 0.0) ** 2 + (base or 0.0) ** 2) ** 0.5
    return claimed - half, claimed + half
