"""The picture that people post: headline, progress chart, legend, in one SVG or PNG, bright or dark."""

from collections.abc import Sequence

from harness.ledger.session_record import SessionRecord
from harness.report.charts.labels import text_width
from harness.report.charts.marks import draw_mark, legend
from harness.report.charts.paint import PAINTS, PALETTE, TEXT
from harness.report.charts.progress import PROPOSALS, Frame, ProgressChart, span_text
from harness.report.charts.svg import Drawing
from harness.report.escape import one_line
from harness.report.headline import headline
from harness.report.words import cost_text

_WIDTH, _HEIGHT, _LEFT = 1200.0, 675.0, 40.0
_HEADLINE, _UNDER, _KEY = 25.0, 15.0, 12.5
_FONTS = "'DejaVu Sans',Verdana,'Segoe UI',Roboto,'Noto Sans',sans-serif"


def picture(session: SessionRecord, controls: Sequence[SessionRecord] = (), axis: str = PROPOSALS) -> Drawing:
    """1200 x 675 pixels. axis: proposals or hours."""
    words = headline(session)
    drawing = Drawing(_WIDTH, _HEIGHT, words)
    drawing.box(0, 0, _WIDTH, _HEIGHT, "paper")
    y = _paragraph(drawing, words, 46, _HEADLINE, "headline")
    drawing.text(_LEFT, y, _under(session), "under")
    frame = Frame(_WIDTH, _HEIGHT - 36, narrow=False, axis=axis, left=84, top=y + 22, bottom=52)
    ProgressChart(session, frame, controls).onto(drawing)
    _legend(drawing, session, controls)
    return drawing


def _under(session: SessionRecord) -> str:
    start = session.started
    parts = (
        f"task {start.task or '?'}",
        f"agent {start.agent or '?'}",
        cost_text(session),
        span_text(session),
    )
    return one_line(" · ".join(parts), 140)


def _paragraph(drawing: Drawing, words: str, y: float, size: float, style: str) -> float:
    """Lines of whole words within the width; returns where the next paragraph's line stands."""
    line = ""
    for word in words.split(" "):
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) * 1.08 > _WIDTH - 2 * _LEFT:  # bold letters are wider
            drawing.text(_LEFT, y, line, style)
            line, y = word, y + 1.25 * size
        else:
            line = longer
    drawing.text(_LEFT, y, line, style)
    return y + 1.1 * size


def _legend(drawing: Drawing, session: SessionRecord, controls: Sequence[SessionRecord]) -> None:
    """One row; what does not fit any more is left out."""
    x, y = _LEFT, _HEIGHT - 20
    keys = [*legend(session), *((f"control {i}", _named(control)) for i, control in enumerate(controls))]
    for kind, words in keys:
        width = 22 + text_width(words, _KEY)
        if x + width > _WIDTH - _LEFT:
            break
        if kind.startswith("control"):
            place = int(kind.split()[1])
            drawing.line(x - 4, y - 4, x + 12, y - 4, f"control arm{1 + place % 5}" if place else "control")
        else:
            draw_mark(drawing, kind, x + 4, y - 4, 0.8 if kind == "step" else 1.1)
        drawing.text(x + 16, y, words, "axis")
        x += width + 12


def _named(control: SessionRecord) -> str:
    return f"control: {one_line(control.started.agent or '?', 30)}"


def picture_svg(drawing: Drawing, theme: str = "light") -> str:
    """A file of its own: every colour is written out. theme: light, dark."""
    box = f"0 0 {drawing.width:g} {drawing.height:g}"
    size = f'width="{drawing.width:g}" height="{drawing.height:g}"'
    place = ("light", "dark").index(theme)
    rules = [f".chart text{{font-family:{_FONTS};{TEXT.css()}}}", ".chart path,.chart circle{fill:none}"]
    rules += [f".chart .{name}{{{paint.css()}}}" for name, paint in PAINTS.items()]
    rules += [f".chart path.arm{i}{{stroke:var(--arm{i})}}" for i in range(6)]
    style = "".join(rules)
    for name, colours in PALETTE.items():
        style = style.replace(f"var(--{name})", colours[place])
    shapes = "".join(shape.svg() for shape in drawing.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="{box}" {size}>'
        f"<style>{style}</style>{shapes}</svg>\n"
    )
