"""What a whole suite came to: counts, rates with intervals, and how they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from harness.records import Json
from harness.redteam.suite import AttackFinding
from harness.report.escape import as_html, one_line
from harness.report.html.pieces import page, section, table, tile

_CONFIDENCE = 0.95
_ABOUT = (
    "Rates with 95 % intervals (Clopper and Pearson): how sure so many attacks can make us, if the ones of this suite "
    "are like those to come. An attack that is not applicable counts in neither."
)


@dataclass(frozen=True, slots=True)
class Rate:
    """count of total, and the exact interval of its share; (0, 1) where there is nothing to count."""

    count: int
    total: int
    low: float
    high: float

    def __str__(self) -> str:
        if not self.total:
            return "nothing to count"
        share = self.count / self.total
        return f"{self.count} of {self.total}, {share:.0%} ({self.low:.0%} to {self.high:.0%})"


def rate(count: int, total: int) -> Rate:
    """Clopper and Pearson (1934), as scipy has it."""
    from scipy.stats import binomtest

    if not total:
        return Rate(0, 0, 0.0, 1.0)
    interval = binomtest(count, total).proportion_ci(_CONFIDENCE, method="exact")
    return Rate(count, total, float(interval.low), float(interval.high))


@dataclass(frozen=True, slots=True)
class Result:
    """about: task, profile, level of isolation and the like."""

    about: Mapping[str, str]
    findings: Sequence[AttackFinding]

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)

    @property
    def caught(self) -> Rate:
        tried = [found.attack for found in self.findings if found.attack != "not applicable"]
        return rate(len(tried) - tried.count("not caught"), len(tried))

    @property
    def blocked(self) -> Rate:
        tried = [found.twin for found in self.findings if found.twin != "not applicable"]
        return rate(tried.count("blocked"), len(tried))

    def count(self, word: str) -> int:
        """How many attacks were found to be so."""
        return sum(found.attack == word for found in self.findings)

    def as_json(self) -> dict[str, Json]:
        rates: dict[str, Json] = {name: asdict(getattr(self, name)) for name in ("caught", "blocked")}
        rows: list[Json] = [asdict(found) for found in self.findings]
        return {"about": dict(self.about), "good": self.good, **rates, "attacks": rows}

    def summary(self) -> list[str]:
        skipped, doubtful = self.count("not applicable"), self.count("in doubt")
        return [
            f"attacks caught        {self.caught}; {doubtful} of them in doubt, left to trials at three seeds",
            f"honest twins blocked  {self.blocked}",
            f"not applicable        {skipped} of {len(self.findings)}",
        ]

    def as_page(self) -> str:
        skipped = self.count("not applicable")
        tiles = (
            tile("attacks caught", f"{self.caught.count} of {self.caught.total}", str(self.caught))
            + tile("honest twins blocked", f"{self.blocked.count} of {self.blocked.total}", str(self.blocked))
            + tile("not applicable", str(skipped), f"of {len(self.findings)} attacks")
        )
        words = ", ".join(f"{name} {value}" for name, value in self.about.items())
        said = (
            "Every attack was caught, and no honest twin was blocked." if self.good else _bad(self.findings)
        )
        title = f"Attacks on {self.about.get('task', '')}"
        head = f"<header><h1>{as_html(title, 80)}</h1>"
        head += f'<div class="soft">{as_html(words)}</div><p class="headline">{as_html(said)}</p></header>'
        headings = ("attack", "tries", "asked of", "attack was", "why", "honest twin", "why")
        shown = table(headings, map(_cells, self.findings))
        tiled = f'<div class="tiles">{tiles}</div>'
        return page(title, head + tiled + section("Every attack", shown, about=_ABOUT))


def line(found: AttackFinding) -> str:
    """For a terminal."""
    mark = {"not applicable": "-   "}.get(found.attack, "ok  " if found.good else "FAIL")
    text = f"{mark}  {found.name:34} {found.attack}: {one_line(found.why, 110)}"
    if found.twin == "blocked":
        text += f"; twin BLOCKED: {one_line(found.twin_why, 110)}"
    return text


def _bad(found: Sequence[AttackFinding]) -> str:
    missed = [each.name for each in found if each.attack == "not caught"]
    blocked = [each.name for each in found if each.twin == "blocked"]
    parts = [f"not caught: {', '.join(missed)}"] if missed else []
    parts += [f"honest twins blocked: {', '.join(blocked)}"] if blocked else []
    return "; ".join(parts)


def _cells(found: AttackFinding) -> tuple[str, ...]:
    asked = "static guards" if found.static else "a trial"
    return (found.name, found.tries, asked, found.attack, found.why, found.twin, found.twin_why)
