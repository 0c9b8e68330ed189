"""Charts of a comparison: arms with their sessions and intervals, performance profiles."""

from collections.abc import Mapping, Sequence

from harness.compare.statistics import Gain, estimate
from harness.report.charts.svg import Drawing, Scale, tick_texts, ticks
from harness.report.escape import one_line
from harness.report.words import signed

_COLOURS = 6


def colour(place: int) -> str:
    """CSS class of the arm in that place."""
    return f"arm{place % _COLOURS}"


def arms_chart(arms: Mapping[str, Sequence[Gain]], width: float, style: str) -> str:
    """One row an arm: every session a dot, the mean and its 95 % interval."""
    if not arms:
        return ""
    wide = width > 500
    found = {name: estimate(gains) for name, gains in arms.items()}
    ends = [0.0, *(gain.value for gains in arms.values() for gain in gains)]
    ends += [end for each in found.values() for end in (each.low, each.high) if end is not None]
    pad = 0.05 * (max(ends) - min(ends)) or 1e-6
    left = min(330.0, 12 + 7.2 * max(len(one_line(name, 44)) for name in arms)) if wide else 12.0
    across = Scale(min(ends) - pad, max(ends) + pad, left, width - 16)
    height = 44 if wide else 56
    drawing = Drawing(width, 40 + height * len(arms), "certified gain of every arm with 95 % intervals")
    bottom = drawing.height - 28
    values = ticks(across.low, across.high, 7 if wide else 4)
    for value, text in zip(values, tick_texts(values), strict=True):
        drawing.line(across(value), 6, across(value), bottom, "grid")
        drawing.text(across(value), bottom + 18, text, "axis middle")
    drawing.line(across(0), 6, across(0), bottom, "zero")
    for place, (name, gains) in enumerate(arms.items()):
        y = 8 + height * (place + 0.5) + (0 if wide else 8)
        drawing.text(4, y + (4 if wide else -14), one_line(name, 44), "name halo")
        for gain in gains:
            tip = f"{gain.task} repeat {gain.repeat}: {signed(gain.value)}"
            drawing.dot(across(gain.value), y + 7, 3, f"{colour(place)} faint", tip)
        each = found[name]
        if each.low is not None and each.high is not None:
            drawing.line(across(each.low), y - 3, across(each.high), y - 3, f"{colour(place)} thick")
        drawing.dot(across(each.mean), y - 3, 5, colour(place), f"mean {signed(each.mean)}")
    return drawing.svg(style)


def profile_chart(arms: Mapping[str, Sequence[Gain]], width: float, style: str) -> str:
    """Performance profiles: which share of an arm's sessions gained at least so much."""
    values = sorted({gain.value for gains in arms.values() for gain in gains})
    if len(values) < 2:
        return ""
    pad = 0.05 * (values[-1] - values[0])
    across, down = Scale(values[0] - pad, values[-1] + pad, 48, width - 12), Scale(0, 1, 240, 14)
    drawing = Drawing(width, 280, "share of sessions that gained at least so much, by arm")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawing.line(across.start, down(share), across.end, down(share), "grid")
        drawing.text(across.start - 6, down(share) + 4, f"{share:.0%}", "axis end")
    marks = ticks(across.low, across.high, 7 if width > 500 else 4)
    for value, text in zip(marks, tick_texts(marks), strict=True):
        drawing.text(across(value), 258, text, "axis middle")
    drawing.text((across.start + across.end) / 2, 276, "gain of at least", "axis middle")
    for place, gains in enumerate(arms.values()):
        drawing.path(_staircase(gains, across, down), f"{colour(place)} thick")
    return drawing.svg(style)


def _staircase(gains: Sequence[Gain], across: Scale, down: Scale) -> list[tuple[float, float]]:
    points = [(across.start, down(1.0))]
    ordered = sorted(gain.value for gain in gains)
    for place, value in enumerate(ordered):
        after = 1 - (place + 1) / len(ordered)
        points += [(across(value), points[-1][1]), (across(value), down(after))]
    return [*points, (across.end, points[-1][1])]
