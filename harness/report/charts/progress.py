"""The progress chart: every proposal by its score, what was kept and why the rest was not, claimed and certified."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.ledger.record_parts import ProposalRecord, seconds_between
from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord
from harness.report.analysis import half_width, mean_interval, noise, step_gain
from harness.report.charts.labels import Rectangle, placed, shortened, text_width
from harness.report.charts.marks import LANES, draw_mark, kind_of
from harness.report.charts.svg import Drawing, Point, Scale, tick_texts, ticks
from harness.report.escape import one_line
from harness.report.headline import certified_change, claimed_change, percent
from harness.report.words import duration, score_text, verdict, why

PROPOSALS, HOURS = "proposals", "hours"
_LANE = 13.0  # pixels, for each kind of proposal without a score
_MANY = 150
_LABEL = 12.5


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things go. narrow: for a phone, with fewer words. axis: proposals or hours (wall clock)."""

    width: float
    height: float
    narrow: bool
    axis: str = PROPOSALS
    left: float = 58
    top: float = 12
    bottom: float = 44

    @property
    def right(self) -> float:
        """Room for the certificate's column."""
        return 84 if self.narrow else 150

    @property
    def edge(self) -> float:
        """Where the plot ends and the certificate's column begins."""
        return self.width - self.right


WIDE, NARROW = Frame(1000, 470, narrow=False), Frame(400, 400, narrow=True)


def progress_chart(session: SessionRecord, frame: Frame, *controls: SessionRecord) -> str:
    """The SVG element. controls: control sessions on the same task, each one more line of incumbents."""
    return ProgressChart(session, frame, controls).drawing().svg("narrow" if frame.narrow else "wide")


class ProgressChart:
    """One chart of one session, in three layers: under the marks, the marks of what was not kept, over them.

    key: while it is the same, marks that were drawn before stay where they are, and new ones can be added to them.
    """

    def __init__(self, session: SessionRecord, frame: Frame, controls: Sequence[SessionRecord] = ()) -> None:
        self.session, self.frame, self.controls = session, frame, controls
        self.noise = noise(session)
        self.across, self.down = self._across(), self._down()
        self.size = 1.0 if len(session.decided) < _MANY else 0.7
        self.key = f"{self.across} {self.down} {self.size} {len(session.settlements)}"

    def drawing(self) -> Drawing:
        """All of it."""
        metric = one_line(self.session.metric, 40)
        return self.onto(
            Drawing(self.frame.width, self.frame.height, f"{metric} of every proposal, keeps marked")
        )

    def onto(self, drawing: Drawing, proposals: Sequence[ProposalRecord] | None = None) -> Drawing:
        """Its layers. proposals: whose marks are drawn if not everybody's."""
        with drawing.layer("under"):
            self._grid(drawing)
            self._baseline(drawing)
            for place, control in enumerate(self.controls):
                drawing.path(self._staircase(control), f"control arm{1 + place % 5}" if place else "control")
        with drawing.layer("marks"):
            self._marks(drawing, self.session.decided if proposals is None else proposals)
        with drawing.layer("over"):
            drawing.path(self._staircase(self.session), "incumbent")
            for keep in self.session.keeps:
                self._keep(drawing, keep)
            self._steps(drawing)
            self._names(drawing)
            self._certificate(drawing)
        return drawing

    def _marks(self, drawing: Drawing, proposals: Iterable[ProposalRecord]) -> None:
        """Of those that were not kept."""
        for proposal in proposals:
            if not proposal.kept:
                x, y = self._spot(proposal)
                draw_mark(drawing, kind_of(proposal), x, y, self.size, self._tip(proposal))

    def _across(self) -> Scale:
        """Growing sessions get room in front of them, so that the scale holds for a while."""
        ends = [self._last(each) for each in (self.session, *self.controls)]
        end = max([*ends, 1 / 60 if self.frame.axis == HOURS else 1.0])
        end = end if self.session.ended else _room(end)
        return Scale(0, end, self.frame.left + 8, self.frame.edge - 12)

    def _last(self, session: SessionRecord) -> float:
        return max((self._x(session, proposal) for proposal in session.decided), default=0.0)

    def _down(self) -> Scale:
        """Scores far worse than the baseline are drawn at the edge: the interesting part keeps its height."""
        session, frame = self.session, self.frame
        kept = [
            keep.score for each in (session, *self.controls) for keep in each.keeps if keep.score is not None
        ]
        row = session.certificate or CertificateRow()
        sealed = [value for value in (*row.head_scores, *row.baseline_scores) if value is not None]
        values = [*session.baseline_values, *kept, *sealed] or [0.0, 1.0]
        pad = max(0.08 * (max(values) - min(values)), 3 * self.noise.sd if self.noise else 0.0, 1e-9)
        low, high = min(values) - pad, max(values) + pad
        if not session.ended:
            low, high = _rounded(low, high)
        lanes = len(LANES) * _LANE + 8
        top, bottom = frame.top, frame.height - frame.bottom
        return (
            Scale(low, high, bottom, top + lanes)
            if session.sign < 0
            else Scale(low, high, bottom - lanes, top)
        )

    def _x(self, session: SessionRecord, proposal: ProposalRecord) -> float:
        if self.frame.axis == HOURS:
            return seconds_between(session.clock.first_time, proposal.ruling.time) / 3600
        return float(proposal.number)

    def _spot(self, proposal: ProposalRecord) -> Point:
        x = self.across(self._x(self.session, proposal))
        if proposal.score is not None:
            return x, self.down.clipped(proposal.score)
        return x, self._lane(kind_of(proposal))

    def _lane(self, kind: str) -> float:
        place = [*LANES].index(kind) if kind in LANES else 0
        away = (place + 0.7) * _LANE
        return self.down.end - away if self.session.sign < 0 else self.down.start + away

    def _tip(self, proposal: ProposalRecord) -> str:
        if self.frame.narrow:  # nobody points at a mark on a phone
            return ""
        score = f"{one_line(self.session.metric, 40)} {score_text(proposal.score)}"
        said = verdict(proposal)
        return f"{proposal.number}: {one_line(proposal.title, 90)}\n{said}, {why(proposal)}\n{score}"

    def _grid(self, drawing: Drawing) -> None:
        frame, across, down = self.frame, self.across, self.down
        values = ticks(down.low, down.high, 5 if frame.narrow else 7)
        for value, text in zip(values, tick_texts(values), strict=True):
            drawing.line(frame.left, down(value), frame.edge, down(value), "grid")
            drawing.text(frame.left - 6, down(value) + 4, text, "axis end")
        for value, text in self._places():
            drawing.text(across(value), frame.height - frame.bottom + 18, text, "axis middle")
        for kind in {kind_of(each) for each in self.session.decided if each.score is None} & LANES.keys():
            drawing.text(frame.left - 6, self._lane(kind) + 4, LANES[kind], "axis end")
        better = "lower is better" if self.session.sign < 0 else "higher is better"
        word = "proposal" if frame.axis == PROPOSALS else "wall clock"
        about = f"{word}   ({one_line(self.session.unit, 20)}: {better})"
        drawing.text((across.start + across.end) / 2, frame.height - frame.bottom + 36, about, "axis middle")

    def _places(self) -> list[tuple[float, str]]:
        count = 4 if self.frame.narrow else 10
        if self.frame.axis == PROPOSALS:
            return [
                (value, f"{value:.0f}") for value in ticks(0, self.across.high, count) if value == int(value)
            ]
        scale, unit = (60.0, "min") if self.across.high < 2 else (1.0, "h")
        values = ticks(0, self.across.high * scale, count)
        return [(v / scale, f"{text} {unit}") for v, text in zip(values, tick_texts(values), strict=True)]

    def _baseline(self, drawing: Drawing) -> None:
        score, across, down = self.session.baseline_score, self.across, self.down
        if score is None:
            return
        half = half_width(self.noise, len(self.session.baseline_values))
        if half:
            high, low = down.clipped(score + half), down.clipped(score - half)
            drawing.box(across.start, high, across.end - across.start, low - high, "band")
        drawing.line(across.start, down(score), across.end, down(score), "baseline")

    def _staircase(self, session: SessionRecord) -> list[Point]:
        """The incumbent's score over the proposals."""
        score = session.baseline_score
        if score is None:
            return []
        points = [(self.across(0), self.down.clipped(score))]
        for keep in session.keeps:
            if keep.score is not None:
                x = self.across(self._x(session, keep))
                points += [(x, points[-1][1]), (x, self.down.clipped(keep.score))]
        return [*points, (self.across(self._last(session)), points[-1][1])]

    def _keep(self, drawing: Drawing, keep: ProposalRecord) -> None:
        if keep.score is None:
            return
        x, y = self._spot(keep)
        half = half_width(self.noise, sum(trial.value is not None for trial in keep.candidate_trials))
        if half:
            ends = self.down.clipped(keep.score - half), self.down.clipped(keep.score + half)
            drawing.whisker(x, *ends, "whisker")
        draw_mark(drawing, kind_of(keep), x, y, self.size, self._tip(keep))

    def _steps(self, drawing: Drawing) -> None:
        """A ring around the last keep of every certified step."""
        for row in self.session.certified_steps:
            head = self.session.proposals.get(row.keeps[-1]) if row.keeps else None
            if head is not None and head.score is not None:
                tip = f"certified step {row.race}: {len(row.keeps)} keeps held on fresh trials"
                draw_mark(drawing, "step", *self._spot(head), self.size, tip)

    def _names(self, drawing: Drawing) -> None:
        """The largest keeps in words, none touching another."""
        frame, session = self.frame, self.session
        keeps = sorted(session.keeps, key=lambda keep: -step_gain(session, keep))
        keeps = [keep for keep in keeps if keep.score is not None and keep.title][: 4 if frame.narrow else 16]
        wanted = [
            (shortened(one_line(keep.title, 200), 22 if frame.narrow else 38), self._spot(keep))
            for keep in keeps
        ]
        corners = self._staircase(session)
        spots = [self._spot(each) for each in session.decided]
        area = Rectangle(
            frame.left + 4,
            min(self.down.start, self.down.end),
            frame.edge - 4,
            max(self.down.start, self.down.end),
        )
        dots = [
            Rectangle(x - 7, y - 7, x + 7, y + 7) for x, y in (self._spot(keep) for keep in session.keeps)
        ]
        others = [self._staircase(control) for control in self.controls]
        segments = [pair for points in (corners, *others) for pair in pairwise(points)]
        score = session.baseline_score
        if score is not None:
            segments.append(((self.across.start, self.down(score)), (self.across.end, self.down(score))))
        for label in placed(wanted, area, _LABEL, keep_off=dots, lines=segments, points=spots):
            if label.leader is not None:
                drawing.path(label.leader, "leader")
            drawing.text(*label.baseline(_LABEL), label.text, "name halo")

    def _certificate(self, drawing: Drawing) -> None:
        """Sealed scores in a column of their own: baseline and head, each with its mean and interval."""
        frame, row = self.frame, self.session.certificate
        drawing.line(frame.edge, frame.top, frame.edge, frame.height - frame.bottom, "divider")
        middle = frame.edge + frame.right / 2
        drawing.text(middle, frame.height - frame.bottom + 36, "certificate", "axis middle")
        if row is None:
            drawing.text(
                middle, frame.height / 2, "none yet" if not self.session.ended else "none", "axis middle"
            )
            return
        for name, scores, share in (("baseline", row.baseline_scores, 0.3), ("head", row.head_scores, 0.7)):
            x, values = frame.edge + frame.right * share, [value for value in scores if value is not None]
            words = name[:4] if frame.narrow else name
            drawing.text(x, frame.height - frame.bottom + 18, words, "axis middle")
            for value in values:
                drawing.dot(x, self.down.clipped(value), 2, "sealed", f"{name} scores: {score_text(value)}")
            if interval := mean_interval(values):
                mean, low, high = interval
                drawing.whisker(x, self.down.clipped(low), self.down.clipped(high), "certified", 5)
                drawing.dot(x, self.down.clipped(mean), 4, "certified-dot", f"mean {score_text(mean)}")
        self._certified_words(drawing, middle)

    def _certified_words(self, drawing: Drawing, middle: float) -> None:
        """In the part of the column that is free: on the side that is worse."""
        row = self.session.certificate
        assert row is not None
        y = self.frame.top + 12 if self.session.sign < 0 else self.frame.height - self.frame.bottom - 24
        said = certified_change(self.session).partition(" [")
        drawing.text(middle, y, said[0] if row.passed else "not passed", "axis middle strong")
        change = claimed_change(self.session)
        small = f"claimed {percent(change)}" if change is not None else ""
        fits = text_width(small, _LABEL) < self.frame.right
        drawing.text(middle, y + 18, small if fits else small.removeprefix("claimed "), "axis middle claim")


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Outwards to round numbers, so that the scale of a growing session holds for a while."""
    marks = ticks(low, high, 7)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _room(count: float) -> float:
    """The next of a row of numbers, each about a quarter more than the one before."""
    room = 10.0 if count >= 1 else 0.05
    while room < count:
        room *= 1.25
    return float(round(room)) if room >= 10 else room


def span_text(session: SessionRecord) -> str:
    """How long it took, from its first row to its last."""
    return duration(seconds_between(session.clock.first_time, session.clock.last_time))
