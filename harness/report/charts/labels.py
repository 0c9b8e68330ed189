"""Where the words of a chart go so that no two of them touch: horizontal, beside what they name, with a leader if far.

Places are tried from near to far; the one that covers least wins. A label that finds none is left out: the most
important ones come first.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.report.charts.svg import Point

# Hundredths of the size of letters that DejaVu Sans needs for the characters 32 to 126: the widest of common fonts.
_WIDTHS = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34,
    84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 30, 30, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99,
    68, 61, 68, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52,
    39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
_WIDE = ("W", "F")
_DANGLING = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
_FAR = (0, 14, 28, 44, 62, 82, 104, 128, 156, 188, 224)  # pixels up or down from what is named
_SIDEWAYS = (8, 22, 44, 76, 120)
_LEADER_FROM = 20.0


def text_width(text: str, size: float) -> float:
    """Pixels that the text takes at most, in a common font."""
    return sum(map(_width, text)) * size / 100


def _width(character: str) -> int:
    code = ord(character)
    if 32 <= code < 127:
        return _WIDTHS[code - 32]
    return 105 if unicodedata.east_asian_width(character) in _WIDE else 80


def shortened(text: str, most: int) -> str:
    """The first clause of a rationale, in whole words, in at most `most` characters."""
    words = " ".join(text.split())
    for mark in (". ", ": ", "; ", " - ", " — ", ", ", " ("):
        head = words.partition(mark)[0]
        if len(words) > most and 16 <= len(head) <= most:
            return head
    if len(words) <= most:
        return words.rstrip(".")
    cut = words[: most - 1]
    whole = cut.rpartition(" ")[0] if " " in cut[most // 2 :] else cut
    while " " in whole and whole.rpartition(" ")[2].lower() in _DANGLING:
        whole = whole.rpartition(" ")[0]
    return whole.rstrip(" ,;:-") + "…"


@dataclass(frozen=True, slots=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "Rectangle") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, point: Point) -> bool:
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    def inside(self, other: "Rectangle") -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )

    def crossed(self, start: Point, end: Point) -> bool:
        """Whether the segment passes through or touches (Liang and Barsky's clipping)."""
        (x, y), across, down = start, end[0] - start[0], end[1] - start[1]
        first, last = 0.0, 1.0
        sides = (
            (-across, x - self.left),
            (across, self.right - x),
            (-down, y - self.top),
            (down, self.bottom - y),
        )
        for slope, room in sides:
            if slope == 0:
                if room < 0:
                    return False
            elif slope < 0:
                first = max(first, room / slope)
            else:
                last = min(last, room / slope)
        return first <= last


@dataclass(frozen=True, slots=True)
class Label:
    """A placed one. leader: from what is named to the words, None where they stand beside it."""

    text: str
    box: Rectangle
    leader: tuple[Point, Point] | None

    def baseline(self, size: float) -> Point:
        """Where its first letter stands."""
        return self.box.left, self.box.bottom - 0.28 * size


def placed(
    wanted: Iterable[tuple[str, Point]],
    area: Rectangle,
    size: float,
    *,
    keep_off: Sequence[Rectangle] = (),
    lines: Sequence[tuple[Point, Point]] = (),
    points: Sequence[Point] = (),
) -> list[Label]:
    """Labels of (text, what it names), most important first, within the area.

    keep_off: never covered. lines, points: covered only where nothing better is left.
    """
    found: list[Label] = []
    for text, anchor in wanted:
        best: tuple[float, Label] | None = None
        for label in sorted(_candidates(text, anchor, size), key=lambda each: _distance(each, anchor)):
            least = _distance(label, anchor)
            if best is not None and least >= best[0]:
                break
            if not label.box.inside(area) or _collides(label, found, keep_off, anchor):
                continue
            cost = least + _covered(label, lines, points)
            if best is None or cost < best[0]:
                best = cost, label
        if best is not None:
            found.append(best[1])
    return found


def _candidates(text: str, anchor: Point, size: float) -> Iterator[Label]:
    """Beside the anchor on either side, then higher and lower."""
    width, height, (x, y) = text_width(text, size), 1.25 * size, anchor
    for far in _FAR:
        for down in (far, -far) if far else (0,):
            for sideways in _SIDEWAYS if far else _SIDEWAYS[:1]:
                for left in (x + sideways, x - sideways - width):
                    box = Rectangle(left, y + down - height / 2, left + width, y + down + height / 2)
                    end = (left - 2, y + down) if left > x else (left + width + 2, y + down)
                    away = ((end[0] - x) ** 2 + (end[1] - y) ** 2) ** 0.5
                    yield Label(text, box, (anchor, end) if away > _LEADER_FROM else None)


def _collides(label: Label, found: Sequence[Label], keep_off: Sequence[Rectangle], anchor: Point) -> bool:
    for other in found:
        if label.box.touches(other.box) or (other.leader and label.box.crossed(*other.leader)):
            return True
        if label.leader and (
            other.box.crossed(*label.leader) or (other.leader and _cross(label.leader, other.leader))
        ):
            return True
    if any(label.box.touches(each) for each in keep_off):
        return True
    others = [each for each in keep_off if not each.holds(anchor)]
    return label.leader is not None and any(each.crossed(*label.leader) for each in others)


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    (a, b), (c, d) = one, other
    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _distance(label: Label, anchor: Point) -> float:
    """Up, down and sideways from what is named to the nearer end of its words."""
    middle = (label.box.top + label.box.bottom) / 2
    near = min(abs(label.box.left - anchor[0]), abs(label.box.right - anchor[0]))
    return abs(middle - anchor[1]) + near


def _covered(label: Label, lines: Sequence[tuple[Point, Point]], points: Sequence[Point]) -> float:
    """What it hides: a line costs as much as a long leader."""
    hidden = sum(60 for start, end in lines if label.box.crossed(start, end))
    return hidden + sum(12 for point in points if label.box.holds(point))
