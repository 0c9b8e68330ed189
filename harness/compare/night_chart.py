"""The progress chart of a recorded night, with the band that a single trial's noise makes around each bar."""

from harness.compare.night import gains, threshold_of
from harness.ledger.recorded_night import Night, Recorded
from harness.report.charts.svg import Drawing, Scale, tick_texts, ticks
from harness.report.escape import one_line

_WIDTH, _HEIGHT = 1000.0, 460.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 70.0, 20.0, 20.0, 44.0


def night_chart(night: Night, sd: float) -> str:
    """The SVG element: every finished trial, the line of keeps, and what is within the noise of two trials of it."""
    drawing = Drawing(
        _WIDTH,
        _HEIGHT,
        f"{night.metric} of every recorded trial; keeps that stand out of the noise are filled",
    )
    rows = night.finished()
    across = Scale(0, max(1, len(rows) - 1), _LEFT, _WIDTH - _RIGHT)
    down = _down(night, sd)
    for value, text in zip(
        ticks(down.low, down.high, 7), tick_texts(ticks(down.low, down.high, 7)), strict=True
    ):
        drawing.line(_LEFT, down(value), _WIDTH - _RIGHT, down(value), "grid")
        drawing.text(_LEFT - 6, down(value) + 4, text, "axis end")
    drawing.text(
        _WIDTH / 2, _HEIGHT - 10, f"recorded trials ({night.metric}, sd of one trial {sd:.2g})", "axis middle"
    )
    places = {row.number: across(place) for place, row in enumerate(rows)}
    for segment in range(night.segments):
        _bars(drawing, night, night.finished(segment), places, down, sd)
    _marks(drawing, night, places, down, sd)
    return drawing.svg("wide")


def _down(night: Night, sd: float) -> Scale:
    kept = [row.score for row in night.finished() if row.status == "keep" and row.score is not None]
    values = kept or [row.score for row in night.finished() if row.score is not None]
    pad = max(0.25 * (max(values) - min(values)), 4 * sd)
    return Scale(min(values) - pad, max(values) + pad, _HEIGHT - _BOTTOM, _TOP)


def _bars(
    drawing: Drawing, night: Night, rows: list[Recorded], places: dict[int, float], down: Scale, sd: float
) -> None:
    """The score to beat, and below it what one trial can reach by chance."""
    bar: float | None = None
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        if row.score is not None and row.status == "keep":
            bar = row.score
        if bar is None:
            continue
        start = places[row.number]
        end = places[after.number] if after else start + 4
        chance = bar + (threshold_of(sd) if night.rising else -threshold_of(sd))
        top, bottom = sorted((down.clipped(bar), down.clipped(chance)))
        drawing.box(start, top, end - start, bottom - top, "band")
        drawing.line(start, down.clipped(bar), end, down.clipped(bar), "incumbent")


def _marks(drawing: Drawing, night: Night, places: dict[int, float], down: Scale, sd: float) -> None:
    sizes = {trial.number: gain for trial, gain in gains(night)}
    for row in night.finished():
        if row.score is None:
            continue
        tip = f"{row.commit} {row.score:g}: {one_line(row.description, 160)}"
        x, y = places[row.number], down.clipped(row.score)
        if row.number in sizes:
            beyond = sizes[row.number] > threshold_of(sd)
            words = "beyond" if beyond else "within"
            drawing.dot(
                x,
                y,
                5,
                "keep" if beyond else "keep doubt",
                f"{tip} ({sizes[row.number]:+.2g}, {words} the noise)",
            )
        elif row.status == "keep":
            drawing.dot(x, y, 5, "baseline", tip)
        else:
            drawing.cross(x, y, 2.5, "discard", tip)
