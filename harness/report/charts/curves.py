"""Curves within trials, as the candidates themselves tell them: claims, shown as such and never believed."""

from collections.abc import Sequence

from harness.ledger.record_parts import ProposalRecord, TrialRecord
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.report.charts.svg import Drawing, Scale, tick_texts, ticks

_MOST = 6


def curve_of(trial: TrialRecord) -> list[float]:
    """The losses that its program wrote while it trained; [] without any."""
    said = trial.measured.claims.get("curve")
    values = said if isinstance(said, list | tuple) else []
    return [
        float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def curves_chart(session: SessionRecord, proposal: ProposalRecord, width: float = 520) -> str:
    """The proposal's trials against one of the baseline's; empty where its program told nothing."""
    own = [curve for trial in proposal.trials if len(curve := curve_of(trial)) > 1][:_MOST]
    return _chart([_evenly(curve) for curve in own], _reference(session), width) if own else ""


def running_chart(session: SessionRecord, points: Sequence[tuple[float, float]], width: float = 520) -> str:
    """A trial that is under way, as far as it is: (share of its time, claimed loss); empty for fewer than two."""
    return _chart([points], _reference(session), width, "so far: ") if len(points) > 1 else ""


def _reference(session: SessionRecord) -> list[Sequence[tuple[float, float]]]:
    """The curve of the baseline's last trial that has one."""
    for trial in reversed(session.trials_by_role[Role.BASELINE]):
        if len(curve := curve_of(trial)) > 1:
            return [_evenly(curve)]
    return []


def _evenly(curve: Sequence[float]) -> list[tuple[float, float]]:
    return [(place / (len(curve) - 1), value) for place, value in enumerate(curve)]


def _chart(
    own: Sequence[Sequence[tuple[float, float]]],
    base: Sequence[Sequence[tuple[float, float]]],
    width: float,
    so_far: str = "",
) -> str:
    values = sorted(value for curve in (*own, *base) for _, value in curve)
    low, high = values[0], values[min(len(values) - 1, int(0.97 * len(values)))]  # the first losses are huge
    drawing = Drawing(width, 170, f"{so_far}loss as the candidate's program tells it, over the trial")
    across, down = Scale(0, 1, 52, width - 10), Scale(low, high if high > low else low + 1, 140, 10)
    marks = ticks(down.low, down.high, 4)
    for value, text in zip(marks, tick_texts(marks), strict=True):
        drawing.line(52, down(value), width - 10, down(value), "grid")
        drawing.text(46, down(value) + 4, text, "axis end")
    drawing.text(
        (across.start + across.end) / 2,
        162,
        f"{so_far}share of the trial (claimed loss, not a score)",
        "axis middle",
    )
    for curve, style in [(each, "reference") for each in base] + [(each, "curve") for each in own]:
        drawing.path(_points(curve, across, down), style)
    return f'<div class="curves">{drawing.svg("curve")}</div>'


def _points(curve: Sequence[tuple[float, float]], across: Scale, down: Scale) -> list[tuple[float, float]]:
    return [(across(share), down.clipped(value)) for share, value in curve]


def sparkline_chart(session: SessionRecord, width: float = 160, height: float = 34) -> str:
    """The incumbent's staircase, better drawn lower for losses as everywhere; empty before a baseline."""
    score = session.baseline_score
    if score is None:
        return ""
    drawing = Drawing(width, height, "the incumbent's score over the proposals")
    scores = [score, *(keep.score for keep in session.keeps if keep.score is not None)]
    across = Scale(0, max(1, len(session.decided)), 2, width - 2)
    down = Scale(min(scores), max(scores), height - 3, 3)
    points = [(across(0), down(score))]
    for keep in session.keeps:
        if keep.score is not None:
            points += [(across(keep.number), points[-1][1]), (across(keep.number), down(keep.score))]
    drawing.path([*points, (across.end, points[-1][1])], "spark")
    return drawing.svg("sparkline")
