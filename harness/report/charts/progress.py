"""The progress chart: every proposal's score, the keeps with intervals, what is claimed and what is certified."""

from dataclasses import dataclass

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord
from harness.report.analysis import Noise, half_width, mean_interval, noise, step_gain
from harness.report.charts.svg import Drawing, Scale, tick_texts, ticks
from harness.report.escape import one_line
from harness.report.words import score_text, signed, why


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things go. narrow: for a phone, with fewer words."""

    width: float
    height: float
    narrow: bool
    left: float = 58
    top: float = 16
    bottom: float = 40

    @property
    def right(self) -> float:
        """Room for the certificate's column."""
        return 70 if self.narrow else 120


WIDE, NARROW = Frame(1000, 460, narrow=False), Frame(400, 380, narrow=True)


def progress_chart(session: SessionRecord, frame: Frame, control: SessionRecord | None = None) -> str:
    """The SVG element. control: a control session on the same task, drawn as one more line of incumbents."""
    drawing = Drawing(frame.width, frame.height, f"{session.metric} of every proposal, keeps marked")
    found = noise(session)
    across, down = _scales(session, frame, found, control)
    _grid(drawing, session, frame, across, down)
    _baseline(drawing, session, across, down, found)
    if control is not None:
        drawing.path(_steps(control, across, down), "control")
    size = 1.0 if len(session.decided) < 150 else 0.7
    for proposal in session.decided:
        if not proposal.kept:
            _discard(drawing, session, proposal, across, down, size)
    drawing.path(_steps(session, across, down), "incumbent")
    for proposal in session.keeps:
        _keep(drawing, session, proposal, across, down, found, size)
    _names(drawing, session, frame, across, down)
    _certificate(drawing, session, frame, down)
    return drawing.svg("narrow" if frame.narrow else "wide")


def _scales(
    session: SessionRecord, frame: Frame, found: Noise | None, control: SessionRecord | None
) -> tuple[Scale, Scale]:
    """Scores far worse than the baseline are drawn at the edge: the interesting part keeps its height."""
    sessions = [session, *([control] if control else [])]
    count = max([proposal.number for each in sessions for proposal in each.decided], default=1)
    across = Scale(0, count, frame.left + 8, frame.width - frame.right - 12)
    kept = [keep.score for each in sessions for keep in each.keeps if keep.score is not None]
    row = session.certificate or CertificateRow()
    sealed = [value for value in (*row.head_scores, *row.baseline_scores) if value is not None]
    values = [*session.baseline_values, *kept, *sealed] or [0.0, 1.0]
    pad = max(0.08 * (max(values) - min(values)), 3 * found.sd if found else 0.0, 1e-9)
    low, high = min(values) - pad, max(values) + pad
    return across, Scale(low, high, frame.height - frame.bottom, frame.top)


def _grid(drawing: Drawing, session: SessionRecord, frame: Frame, across: Scale, down: Scale) -> None:
    values = ticks(down.low, down.high, 5 if frame.narrow else 7)
    for value, text in zip(values, tick_texts(values), strict=True):
        drawing.line(frame.left, down(value), frame.width - frame.right, down(value), "grid")
        drawing.text(frame.left - 6, down(value) + 4, text, "axis end")
    for value in ticks(0, across.high, 4 if frame.narrow else 10):
        if value == int(value):
            drawing.text(across(value), frame.height - frame.bottom + 18, f"{value:.0f}", "axis middle")
    better = "lower is better" if session.sign < 0 else "higher is better"
    about = f"proposal   ({one_line(session.metric, 20)}: {better})"
    drawing.text((across.start + across.end) / 2, frame.height - 6, about, "axis middle")


def _baseline(
    drawing: Drawing, session: SessionRecord, across: Scale, down: Scale, found: Noise | None
) -> None:
    score = session.baseline_score
    if score is None:
        return
    half = half_width(found, len(session.baseline_values))
    if half:
        high, low = down.clipped(score + half), down.clipped(score - half)
        drawing.box(across.start, high, across.end - across.start, low - high, "band")
    drawing.line(across.start, down(score), across.end, down(score), "baseline")
    drawing.text(across.start + 4, down(score) - 6, "baseline", "axis")


def _steps(session: SessionRecord, across: Scale, down: Scale) -> list[tuple[float, float]]:
    """The incumbent's score over the proposals, as a staircase."""
    score = session.baseline_score
    if score is None:
        return []
    points = [(across(0), down.clipped(score))]
    for keep in session.keeps:
        if keep.score is not None:
            points += [(across(keep.number), points[-1][1]), (across(keep.number), down.clipped(keep.score))]
    last = max((proposal.number for proposal in session.decided), default=0)
    return [*points, (across(last), points[-1][1])]


def _tip(session: SessionRecord, proposal: ProposalRecord) -> str:
    score = f"{session.metric} {score_text(proposal.score)}"
    return f"{proposal.number}: {one_line(proposal.title, 90)}\n{proposal.decision}, {why(proposal)}\n{score}"


def _discard(
    drawing: Drawing,
    session: SessionRecord,
    proposal: ProposalRecord,
    across: Scale,
    down: Scale,
    size: float,
) -> None:
    x, tip = across(proposal.number), _tip(session, proposal)
    if proposal.score is None:
        drawing.cross(x, down.end + 6 if session.sign < 0 else down.start - 6, 3 * size, "failed", tip)
    else:
        drawing.dot(x, down.clipped(proposal.score), 3 * size, "discard", tip)


def _keep(
    drawing: Drawing,
    session: SessionRecord,
    keep: ProposalRecord,
    across: Scale,
    down: Scale,
    found: Noise | None,
    size: float,
) -> None:
    if keep.score is None:
        return
    x = across(keep.number)
    half = half_width(found, sum(trial.value is not None for trial in keep.candidate_trials))
    if half:
        drawing.whisker(x, down.clipped(keep.score - half), down.clipped(keep.score + half), "whisker")
    drawing.dot(x, down.clipped(keep.score), 5 * size, "keep", _tip(session, keep))


def _names(drawing: Drawing, session: SessionRecord, frame: Frame, across: Scale, down: Scale) -> None:
    """Names of the largest steps, slanted as the eye follows the staircase; none where two would collide."""
    room = 3 if frame.narrow else 14
    largest = sorted(session.keeps, key=lambda keep: -step_gain(session, keep))[:room]
    taken: list[float] = []
    for keep in sorted(largest, key=lambda keep: -step_gain(session, keep)):
        x = across(keep.number)
        if keep.score is None or any(abs(x - other) < 15 for other in taken):
            continue
        taken.append(x)
        y, below = down.clipped(keep.score), session.sign > 0
        upright = (frame.height - frame.bottom - y if below else y - frame.top) / 0.47  # sine of the slant
        letters = int(min(frame.width - x - 10, upright) / 6.4)
        words = one_line(keep.title, min(letters, 20 if frame.narrow else 34)) if letters > 7 else ""
        drawing.text(x + 7, y + (14 if below else -7), words, "name halo", 28 if below else -28)


def _certificate(drawing: Drawing, session: SessionRecord, frame: Frame, down: Scale) -> None:
    """Sealed scores in a column of their own: baseline and head, each with its mean and interval."""
    edge = frame.width - frame.right
    drawing.line(edge, frame.top, edge, frame.height - frame.bottom, "divider")
    middle = edge + frame.right / 2
    drawing.text(
        middle, frame.height - frame.bottom + 18, "sealed" if frame.narrow else "certificate", "axis middle"
    )
    row = session.certificate
    if row is None:
        drawing.text(middle, frame.height / 2, "none", "axis middle")
        return
    spots = (("baseline", row.baseline_scores, 0.3), ("head", row.head_scores, 0.7))
    for name, scores, share in spots:
        x, values = edge + frame.right * share, [value for value in scores if value is not None]
        for value in values:
            drawing.dot(x, down.clipped(value), 2, "sealed", f"{name} scores: {score_text(value)}")
        interval = mean_interval(values)
        if interval:
            mean, low, high = interval
            drawing.whisker(x, down.clipped(low), down.clipped(high), "certified", 5)
            drawing.dot(x, down.clipped(mean), 4, "certified-dot", f"mean {score_text(mean)}")
    gain = "no score" if row.gain is None else signed(row.gain)
    drawing.text(middle, frame.top + 10, gain, "axis middle strong")
