"""The little drawing that the charts need, as SVG. What a class looks like stands in paint.py, for every output."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from harness.report.escape import as_html

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from [low, high] to pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def clipped(self, value: float) -> float:
        """Pixels of the value, or of the nearer end of the range."""
        return self(min(max(value, self.low), self.high))


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """As many decimals as tell the ticks apart."""
    step = min((b - a for a, b in pairwise(values)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return [f"{value:.{min(decimals, 8)}f}" for value in values]


@dataclass(frozen=True, slots=True)
class Line:
    """Polylines that are painted as one. closed: each returns to its start."""

    style: str
    parts: tuple[tuple[Point, ...], ...]
    closed: bool = False
    tip: str = ""

    def svg(self) -> str:
        end = "Z" if self.closed else ""
        d = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part) + end for part in self.parts)
        return f'<path class="{self.style}" d="{d}">{_title(self.tip)}</path>'


@dataclass(frozen=True, slots=True)
class Dot:
    """A circle."""

    style: str
    x: float
    y: float
    radius: float
    tip: str = ""

    def svg(self) -> str:
        at = f'cx="{self.x:.1f}" cy="{self.y:.1f}" r="{self.radius:g}"'
        return f'<circle class="{self.style}" {at}>{_title(self.tip)}</circle>'


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle; x, y: its upper left corner."""

    style: str
    x: float
    y: float
    width: float
    height: float
    tip: str = ""

    def svg(self) -> str:
        at = f'x="{self.x:.1f}" y="{self.y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}"'
        return f'<rect class="{self.style}" {at}>{_title(self.tip)}</rect>'


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; x, y: where its baseline starts, or as its style says its middle or end."""

    style: str
    x: float
    y: float
    text: str

    def svg(self) -> str:
        return (
            f'<text class="{self.style}" x="{self.x:.1f}" y="{self.y:.1f}">{as_html(self.text, 300)}</text>'
        )


Shape = Line | Dot | Box | Words


def _title(tip: str) -> str:
    return f"<title>{as_html(tip, 400)}</title>" if tip else ""


@dataclass(slots=True)
class Drawing:
    """Shapes in the order in which they are painted, in named layers. Sizes are in pixels of the view box."""

    width: float
    height: float
    label: str
    layers: dict[str, list[Shape]] = field(default_factory=lambda: {"": []})
    _layer: str = ""

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """What is drawn inside goes to this layer; layers are painted in the order of their first use."""
        before, self._layer = self._layer, name
        self.layers.setdefault(name, [])
        yield
        self._layer = before

    def add(self, shape: Shape) -> None:
        self.layers[self._layer].append(shape)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.add(Line(style, (((x1, y1), (x2, y2)),)))

    def path(self, points: Sequence[Point], style: str, close: bool = False, tip: str = "") -> None:
        if points:
            self.add(Line(style, (tuple(points),), close, tip))

    def dot(self, x: float, y: float, radius: float, style: str, tip: str = "") -> None:
        self.add(Dot(style, x, y, radius, tip))

    def cross(self, x: float, y: float, size: float, style: str, tip: str = "") -> None:
        strokes = (
            ((x - size, y - size), (x + size, y + size)),
            ((x + size, y - size), (x - size, y + size)),
        )
        self.add(Line(style, strokes, tip=tip))

    def triangle(self, x: float, y: float, size: float, style: str, tip: str = "") -> None:
        self.path([(x - size, y - size), (x + size, y - size), (x, y + size)], style, close=True, tip=tip)

    def box(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        self.add(Box(style, x, y, max(0.0, width), max(0.0, height), tip))

    def text(self, x: float, y: float, text: str, style: str = "") -> None:
        self.add(Words(style, x, y, text))

    def whisker(self, x: float, low: float, high: float, style: str, cap: float = 3.0) -> None:
        """A vertical interval from pixel `low` to pixel `high`."""
        caps = [((x - cap, y), (x + cap, y)) for y in (low, high)]
        self.add(Line(style, (((x, low), (x, high)), *caps)))

    @property
    def shapes(self) -> list[Shape]:
        return [shape for layer in self.layers.values() for shape in layer]

    def layer_svg(self, name: str) -> str:
        """What a layer holds, without the element around it."""
        return "".join(shape.svg() for shape in self.layers.get(name, []))

    def svg(self, style: str = "") -> str:
        """The whole element; a layer is a group that says its name."""
        box = f"0 0 {self.width:g} {self.height:g}"
        head = (
            f'<svg class="chart {style}" viewBox="{box}" role="img" aria-label="{as_html(self.label, 300)}">'
        )
        groups = (
            f'<g data-layer="{as_html(name)}">{self.layer_svg(name)}</g>' if name else self.layer_svg(name)
            for name in self.layers
        )
        return head + "".join(groups) + "</svg>"
