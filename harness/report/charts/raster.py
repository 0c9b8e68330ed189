"""A drawing as PNG, by Pillow: drawn three times as large and made smaller, which smooths every edge."""

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.report.charts.paint import PALETTE, TEXT, Paint, looks
from harness.report.charts.svg import Box, Dot, Drawing, Line, Point, Words
from harness.report.escape import one_line

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_FINER = 3
_SCALE = 2  # pixels of the picture a pixel of the drawing: for dense screens
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
_PLAIN = str.maketrans({"\u2192": "->", "\u2212": "-", "\u2026": "...", "\u00b7": "-", "\u2013": "-"})


def png(drawing: Drawing, theme: str = "light") -> bytes:
    """The file's bytes. theme: light, dark."""
    from PIL import Image, ImageDraw

    size = round(drawing.width * _SCALE), round(drawing.height * _SCALE)
    image = Image.new("RGB", (size[0] * _FINER, size[1] * _FINER))
    brush = _Brush(ImageDraw.Draw(image, "RGBA"), ("light", "dark").index(theme))
    for shape in drawing.shapes:
        brush.draw(shape)
    found = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(found, "PNG", optimize=True)
    return found.getvalue()


class _Brush:
    """Paints shapes onto the large image; tips are for whoever can point at something, and left out."""

    def __init__(self, onto: "ImageDraw.ImageDraw", place: int) -> None:
        self._onto, self._place = onto, place
        self._fonts: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def draw(self, shape: Line | Dot | Box | Words) -> None:
        paint = looks(shape.style)
        match shape:
            case Line():
                self._line(shape, paint)
            case Dot(x=x, y=y, radius=radius):
                self._outlined([(x - radius, y - radius), (x + radius, y + radius)], paint, round_=True)
            case Box(x=x, y=y, width=width, height=height):
                self._outlined([(x, y), (x + width, y + height)], paint, round_=False)
            case Words():
                self._words(shape, paint)

    def _colour(self, name: str, opacity: float) -> tuple[int, int, int, int] | None:
        if not name:
            return None
        code = PALETTE[name][self._place].removeprefix("#")
        alpha = int(code[6:8] or "ff", 16)
        return int(code[:2], 16), int(code[2:4], 16), int(code[4:6], 16), round(alpha * opacity)

    def _large(self, points: Sequence[Point]) -> list[Point]:
        return [(x * _FINER * _SCALE, y * _FINER * _SCALE) for x, y in points]

    def _line(self, line: Line, paint: Paint) -> None:
        for part in line.parts:
            if line.closed and paint.fill:
                self._onto.polygon(self._large(part), fill=self._colour(paint.fill, paint.opacity))
            if paint.stroke:
                width = max(1, round((paint.width or 1) * _FINER * _SCALE))
                colour = self._colour(paint.stroke, paint.opacity)
                for piece in _dashed(part, paint.dash):
                    self._onto.line(self._large(piece), fill=colour, width=width, joint="curve")

    def _outlined(self, corners: Sequence[Point], paint: Paint, round_: bool) -> None:
        draw = self._onto.ellipse if round_ else self._onto.rectangle
        fill, stroke = self._colour(paint.fill, paint.opacity), self._colour(paint.stroke, paint.opacity)
        width = max(1, round((paint.width or 1) * _FINER * _SCALE)) if stroke else 0
        half = (paint.width or 1) / 2 if stroke else 0.0  # SVG's outlines lie astride the edge
        (left, top), (right, bottom) = corners
        grown = self._large([(left - half, top - half), (right + half, bottom + half)])
        draw(grown, fill=fill, outline=stroke, width=width)

    def _words(self, words: Words, paint: Paint) -> None:
        size = (paint.size or TEXT.size) * _FINER * _SCALE
        font, text = self._font(size), one_line(words.text, 300)
        if not isinstance(getattr(font, "path", None), str):  # Pillow's own, of few letters
            text = text.translate(_PLAIN)
        anchor = {"middle": "ms", "end": "rs"}.get(paint.anchor, "ls")
        at = self._large([(words.x, words.y)])[0]
        halo = round((paint.width / 2) * _FINER * _SCALE) if paint.halo else 0
        if halo:
            edge = self._colour(paint.stroke, 1.0)
            self._onto.text(
                at, text, fill=edge, font=font, anchor=anchor, stroke_width=halo, stroke_fill=edge
            )
        bold = round(size / 45) if paint.bold else 0
        fill = self._colour(paint.fill or TEXT.fill, paint.opacity)
        self._onto.text(at, text, fill=fill, font=font, anchor=anchor, stroke_width=bold, stroke_fill=fill)

    def _font(self, size: float) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
        from PIL import ImageFont

        if size not in self._fonts:
            for name in _FONTS:
                try:
                    self._fonts[size] = ImageFont.truetype(name, size)
                    break
                except OSError:
                    continue
            else:
                self._fonts[size] = ImageFont.load_default(size)  # Latin letters without accents
        return self._fonts[size]


def _dashed(points: Sequence[Point], dash: Sequence[float]) -> list[Sequence[Point]]:
    """The line in pieces: painted and left out by turns."""
    if not dash:
        return [points]
    pieces: list[Sequence[Point]] = []
    pattern, place, left = list(dash), 0, dash[0]
    for (x1, y1), (x2, y2) in pairwise(points):
        length, done = math.hypot(x2 - x1, y2 - y1), 0.0
        while done < length:
            take = min(left, length - done)
            if place % 2 == 0:
                ends = [done / length, (done + take) / length]
                pieces.append([(x1 + (x2 - x1) * end, y1 + (y2 - y1) * end) for end in ends])
            done, left = done + take, left - take
            if left <= 1e-9:
                place += 1
                left = pattern[place % len(pattern)]
    return pieces
