"""The little SVG that the charts need. Colours are CSS classes, so that a dark page is dark here, too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.report.escape import as_html


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


@dataclass(slots=True)
class Drawing:
    """Elements in the order in which they are painted. Sizes are in pixels of the view box."""

    width: float
    height: float
    label: str
    elements: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.elements.append(f'<path class="{style}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, close: bool = False) -> None:
        if points:
            corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.elements.append(f'<path class="{style}" d="M{corners}{"Z" if close else ""}"/>')

    def dot(self, x: float, y: float, radius: float, style: str, tip: str = "") -> None:
        title = f"<title>{as_html(tip, 400)}</title>" if tip else ""
        self.elements.append(
            f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
        )

    def cross(self, x: float, y: float, size: float, style: str, tip: str = "") -> None:
        d = f"M{x - size:.1f} {y - size:.1f}l{2 * size} {2 * size}M{x + size:.1f} {y - size:.1f}l{-2 * size} {2 * size}"
        title = f"<title>{as_html(tip, 400)}</title>" if tip else ""
        self.elements.append(f'<path class="{style}" d="{d}">{title}</path>')

    def box(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        title = f"<title>{as_html(tip, 400)}</title>" if tip else ""
        size = f'width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}"'
        self.elements.append(f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" {size}>{title}</rect>')

    def text(self, x: float, y: float, text: str, style: str = "", turn: float = 0.0) -> None:
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        words = as_html(text, 200)
        self.elements.append(f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{turned}>{words}</text>')

    def whisker(self, x: float, low: float, high: float, style: str, cap: float = 3.0) -> None:
        """A vertical interval from pixel `low` to pixel `high`."""
        d = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - cap:.1f} {low:.1f}h{2 * cap}M{x - cap:.1f} {high:.1f}h{2 * cap}"
        self.elements.append(f'<path class="{style}" d="{d}"/>')

    def svg(self, style: str = "") -> str:
        """The whole element."""
        box = f"0 0 {self.width:g} {self.height:g}"
        head = (
            f'<svg class="chart {style}" viewBox="{box}" role="img" aria-label="{as_html(self.label, 300)}">'
        )
        return head + "".join(self.elements) + "</svg>"
