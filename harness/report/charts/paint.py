"""What charts look like: every colour, bright and dark, and every class of a shape. CSS and pictures are made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

PALETTE: Mapping[str, tuple[str, str]] = {  # name: bright, dark
    "page": ("#fbfbfa", "#14171b"),
    "card": ("#ffffff", "#1c2025"),
    "ink": ("#1d2126", "#e6e8eb"),
    "soft": ("#5b6470", "#9aa4b1"),
    "rule": ("#e2e4e8", "#30363e"),
    "grid": ("#ececef", "#272c33"),
    "keep": ("#14804a", "#4cc483"),
    "discard": ("#b2b8c2", "#636d7a"),
    "bad": ("#c2361f", "#ff8069"),
    "guard": ("#b86a00", "#f0b04d"),
    "accent": ("#2257c4", "#86adff"),
    "certified": ("#7a3fb3", "#c79bf2"),
    "control": ("#0c7f8f", "#55c7d6"),
    "band": ("#2257c41a", "#86adff22"),
    "added": ("#14804a1c", "#4cc48322"),
    "removed": ("#c2361f1a", "#ff806922"),
    "code": ("#f3f4f6", "#23282e"),
    "arm0": ("#2257c4", "#86adff"),
    "arm1": ("#c77700", "#f0b04d"),
    "arm2": ("#14804a", "#4cc483"),
    "arm3": ("#7a3fb3", "#c79bf2"),
    "arm4": ("#c2361f", "#ff8069"),
    "arm5": ("#0c7f8f", "#55c7d6"),
}


@dataclass(frozen=True, slots=True)
class Paint:
    """A class. fill, stroke: names of the palette. size: of letters, in pixels. anchor: start, middle or end."""

    fill: str = ""
    stroke: str = ""
    width: float = 0.0
    dash: tuple[float, ...] = ()
    opacity: float = 1.0
    size: float = 0.0
    bold: bool = False
    anchor: str = ""
    halo: bool = False

    def css(self) -> str:
        """The declarations."""
        found = {
            "fill": f"var(--{self.fill})" if self.fill else "",
            "stroke": f"var(--{self.stroke})" if self.stroke else "",
            "stroke-width": f"{self.width:g}" if self.width else "",
            "stroke-dasharray": " ".join(f"{part:g}" for part in self.dash),
            "opacity": f"{self.opacity:g}" if self.opacity != 1 else "",
            "font-size": f"{self.size:g}px" if self.size else "",
            "font-weight": "700" if self.bold else "",
            "text-anchor": self.anchor,
            "paint-order": "stroke" if self.halo else "",
            "stroke-linejoin": "round" if self.halo else "",
        }
        return ";".join(f"{name}:{value}" for name, value in found.items() if value)


_ARMS = 6
TEXT = Paint(fill="ink", size=13)
PAINTS: Mapping[str, Paint] = {  # later classes win where a shape has several
    "axis": Paint(fill="soft", size=12.5),
    "name": Paint(fill="ink", size=12.5),
    "headline": Paint(fill="ink", size=25, bold=True),
    "under": Paint(fill="soft", size=15),
    "strong": Paint(fill="certified", size=14, bold=True),
    "claim": Paint(fill="keep", size=12.5),
    "middle": Paint(anchor="middle"),
    "end": Paint(anchor="end"),
    "halo": Paint(stroke="card", width=3.5, halo=True),
    "paper": Paint(fill="card"),
    "grid": Paint(stroke="grid", width=1),
    "divider": Paint(stroke="rule", width=1, dash=(3, 3)),
    "baseline": Paint(stroke="soft", width=1, dash=(6, 4)),
    "zero": Paint(stroke="soft", width=1),
    "band": Paint(fill="band"),
    "incumbent": Paint(stroke="keep", width=2),
    "control": Paint(stroke="control", width=2, dash=(2, 3)),
    "leader": Paint(stroke="soft", width=0.8, opacity=0.7),
    "discard": Paint(fill="discard"),
    "rolled": Paint(fill="card", stroke="discard", width=1.6),
    "untold": Paint(fill="card", stroke="guard", width=1.4),
    "guarded": Paint(fill="guard"),
    "nothing": Paint(fill="card", stroke="discard", width=1.2),
    "failed": Paint(stroke="bad", width=1.5),
    "keep": Paint(fill="keep", stroke="card", width=1.5),
    "provisional": Paint(fill="card", stroke="keep", width=2),
    "step": Paint(stroke="certified", width=2),
    "whisker": Paint(stroke="keep", width=1),
    "claimed": Paint(fill="keep"),
    "sealed": Paint(fill="certified", opacity=0.45),
    "certified": Paint(stroke="certified", width=1.8),
    "certified-dot": Paint(fill="certified"),
    "bar": Paint(fill="accent"),
    "doubt": Paint(opacity=0.5),
    "curve": Paint(stroke="accent", width=1.6),
    "reference": Paint(stroke="discard", width=1.6),
    "spark": Paint(stroke="keep", width=1.6),
    "thick": Paint(width=2.5),
    "faint": Paint(opacity=0.5),
}


def palette_css() -> str:
    """The palette as variables, for pages that follow the reader's colour scheme or their own switch."""
    named = "".join(f"--{name}:light-dark({bright},{dark});" for name, (bright, dark) in PALETTE.items())
    return (
        f":root{{color-scheme:light dark;{named}}}"
        ":root[data-theme=dark]{color-scheme:dark}:root[data-theme=light]{color-scheme:light}"
    )


def chart_css() -> str:
    """The classes. A path without a fill of its own has none."""
    rules = [f".chart text{{{TEXT.css()}}}", ".chart path,.chart circle{fill:none}"]
    rules += [f".chart .{name}{{{paint.css()}}}" for name, paint in PAINTS.items()]
    rules += [
        f".chart circle.arm{i}{{fill:var(--arm{i})}}.chart path.arm{i}{{stroke:var(--arm{i})}}"
        f".key i.arm{i}{{background:var(--arm{i})}}"
        for i in range(_ARMS)
    ]
    rules += [".key i.control{background:var(--control)}"]
    return "".join(rules)


def looks(style: str) -> Paint:
    """What a shape of these classes looks like, all of them taken together."""
    found: dict[str, object] = {}
    for name in PAINTS:
        if name in style.split():
            own = PAINTS[name]
            default = Paint()
            found |= {
                key: getattr(own, key)
                for key in Paint.__dataclass_fields__
                if getattr(own, key) != getattr(default, key)
            }
    for name in style.split():
        if name.startswith("arm"):
            found |= {"fill": name, "stroke": name}
    return Paint(**found)  # type: ignore[arg-type] # values of the same fields
