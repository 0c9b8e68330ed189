"""Drives the keep rules of `harness.keep` over synthetic nights: what they gain, and what they get wrong.

    python scripts/simulate_keep_rules.py [--nights 400] [--file nights.json] [--out FOLDER] [--processes 1]
        [--rules stack race ...] [--conditions ...] [--kinds ...] [--every]

Nights (what proposals are worth) and conditions (how trials scatter) come from a file: scripts/synthetic_nights.json
unless another one is named; its format is described in scripts/synthetic_nights.py. The first condition of the file
is played with every kind of night, the others with three of them (--every: all). Rows are written as they come.

Where the study that the race was chosen by has a figure (reference_nights.csv; 400 nights a cell, another
implementation), it stands beside ours. With --out it writes nights.csv, table.md and, with matplotlib, nights.png.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

from rival_rules import EarlierRace, PairedBetting
from synthetic_nights import DEFAULT, Book, Estimate, nights, read, summary

from harness.keep.bayes import Bayes
from harness.keep.greedy import Greedy
from harness.keep.race import Race
from harness.keep.rerun import Rerun
from harness.keep.stack import Stack
from harness.protocols import KeepRule

RULES: dict[str, KeepRule] = {
    "greedy": Greedy(),
    "stack": Stack(),
    "race": Race(),
    "race before": EarlierRace(),
    "strict": Race(alpha=0.01),
    "rerun": Rerun(),
    "bayes": Bayes(),
    "PACE": PairedBetting(),
}
FIGURES = (
    "gain", "keeps", "false_keeps", "any_false", "steps", "false_steps", "any_step", "rolled_back",
    "over_claim", "slots_per_decision",
)  # fmt: skip
_FEW_KINDS = ("all 100", "sparse 200", "null 100")
_REFERENCE = Path(__file__).with_name("reference_nights.csv")
_OLD_NAMES = {"race": "race before", "strict": "", "rerun 1 sd": "", "rerun 1.5 sd": "rerun"}


class Cell(NamedTuple):
    """One rule in one kind of night under one condition."""

    rule: str
    kind: str
    condition: str
    nights: int
    ours: dict[str, Estimate]
    gains: tuple[float, ...] = ()


def reference() -> dict[tuple[str, str], dict[str, float]]:
    """The study's figures by rule and kind of night."""
    with _REFERENCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        kind = "null 100" if row["scenario"] == "null" else f"{row['scenario']} {row['slots']}"
        figures = {"gain": "gain", "keeps": "keeps", "any_false": "any_false", "over_claim": "over_claim"}
        figures["slots_per_decision"] = "slots_per_decision"
        name = _OLD_NAMES.get(row["rule"], row["rule"])
        found[name, kind] = {ours: float(row[theirs]) for ours, theirs in figures.items()}
    return found


def wanted(book: Book, every: bool) -> Iterator[tuple[str, str]]:
    """(kind of night, condition), the most telling first."""
    first, *others = book.conditions
    yield from ((kind, first) for kind in book.nights)
    few = [kind for kind in book.nights if every or kind in _FEW_KINDS] or list(book.nights)
    yield from ((kind, condition) for condition in others for kind in few)


def cell(what: tuple[str, str, str], file: Path, count: int, seed: int) -> Cell:
    """Nights of one rule; reads the file itself, so that it can be asked in another process."""
    (rule, kind, condition), book = what, read(file)
    done = nights(RULES[rule], kind, count, seed, condition, book)
    ours = summary(done, book.nights[kind].slots)
    return Cell(rule, kind, condition, count, ours, tuple(night.gain for night in done))


def simulated(
    file: Path,
    count: int,
    seed: int,
    processes: int = 1,
    every: bool = False,
    only: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Cell]:
    """only: names of "rules", "kinds" or "conditions" to keep to."""
    book, only = read(file), only or {}
    asked = [
        (rule, kind, condition)
        for kind, condition in wanted(book, every)
        for rule in RULES
        if rule in only.get("rules", RULES)
        and kind in only.get("kinds", book.nights)
        and condition in only.get("conditions", book.conditions)
    ]
    play = partial(cell, file=file, count=count, seed=seed)
    if processes == 1:
        yield from map(play, asked)
        return
    with Pool(processes) as pool:
        yield from pool.imap(play, asked)


def line(one: Cell, study: Mapping[tuple[str, str], Mapping[str, float]]) -> str:
    theirs = study.get((one.rule, one.kind), {}) if one.condition == "Gaussian" else {}
    parts = []
    for figure in FIGURES:
        beside = f" ({theirs[figure]:.3g})" if figure in theirs else ""
        parts.append(f"{one.ours[figure].value:.3g} ±{one.ours[figure].error:.1g}{beside}")
    return f"{one.condition:<19} {one.kind:<11} {one.rule:<12} " + "  ".join(f"{part:<18}" for part in parts)


class Summary(NamedTuple):
    """One rule under one condition: gain as a share of greedy's under the same, over the nights with effects; share
    of keeps and of certified steps without gain there; keeps and steps in a night without effects; slots a decision.
    """

    gain: Estimate
    false_keeps: Estimate
    false_steps: Estimate
    null_keeps: Estimate
    null_steps: Estimate
    slots_per_decision: Estimate


def summed_up(cells: Sequence[Cell], book: Book, rule: str, condition: str) -> Summary | None:
    """None where greedy, or a night without effects, was not played."""
    cells = [one for one in cells if one.condition == condition]
    here = {(one.rule, one.kind): one.ours for one in cells}
    gains = {(one.rule, one.kind): one.gains for one in cells}
    kinds = [kind for name, kind in here if name == rule]
    with_effects = [kind for kind in kinds if not book.nights[kind].nothing_helps]
    null = [kind for kind in kinds if book.nights[kind].nothing_helps]
    if not null or not with_effects or any(("greedy", kind) not in here for kind in with_effects):
        return None
    ratios = [_ratio(gains[rule, kind], gains["greedy", kind]) for kind in with_effects]
    means = [
        _average([here[rule, kind][figure] for kind in with_effects])
        for figure in ("false_keeps", "false_steps", "slots_per_decision")
    ]
    last = here[rule, null[-1]]
    return Summary(_average(ratios), means[0], means[1], last["keeps"], last["steps"], means[2])


def _ratio(ours: Sequence[float], greedy: Sequence[float]) -> Estimate:
    """Of sums over the same nights; the error from what is left of each night's gain."""
    if not sum(greedy):
        return Estimate(math.nan, math.nan)  # greedy gained nothing: there is no share of it
    value = sum(ours) / sum(greedy)
    off = [one - value * other for one, other in zip(ours, greedy, strict=True)]
    error = math.sqrt(sum(part**2 for part in off)) / abs(sum(greedy))
    return Estimate(value, error)


def _average(parts: Sequence[Estimate]) -> Estimate:
    return Estimate(
        sum(part.value for part in parts) / len(parts),
        math.sqrt(sum(part.error**2 for part in parts)) / len(parts),
    )


def tables(cells: Sequence[Cell], book: Book) -> Iterator[str]:
    """Markdown: one table a figure, conditions down and rules across."""
    rules = [rule for rule in RULES if any(one.rule == rule for one in cells)]
    conditions = [name for name in book.conditions if any(one.condition == name for one in cells)]
    titles = {
        "gain": "gain / greedy's under the same condition",
        "false_keeps": "share of keeps that gain nothing",
        "false_steps": "share of certified steps that gain nothing (rules with final keeps: of keeps)",
        "null_keeps": "keeps in a night without effects",
        "null_steps": "certified steps in a night without effects (rules with final keeps: keeps)",
        "slots_per_decision": "slots a decision",
    }
    for figure, title in titles.items():
        yield f"\n**{title}**\n"
        yield "| condition | " + " | ".join(rules) + " |"
        yield "|---" * (len(rules) + 1) + "|"
        for condition in conditions:
            found = [summed_up(cells, book, rule, condition) for rule in rules]
            told = [_told(getattr(one, figure)) if one else "" for one in found]
            yield f"| {condition} | " + " | ".join(told) + " |"


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.error:.3f}"


COLUMNS = ["rule", "night", "condition", "nights", "figure", "value", "error"]


def rows(one: Cell) -> list[list[str | int]]:
    about: list[str | int] = [one.rule, one.kind, one.condition, one.nights]
    return [
        [*about, figure, f"{one.ours[figure].value:.6g}", f"{one.ours[figure].error:.3g}"]
        for figure in FIGURES
    ]


def write_plot(path: Path, cells: Sequence[Cell], book: Book) -> None:
    """Gain against false share under the first condition, one point a rule: up and to the left is better."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), dpi=150)
    for rule in RULES:
        found = summed_up(cells, book, rule, next(iter(book.conditions)))
        if found is None:
            continue
        false, gain = found.false_steps, found.gain
        axes.errorbar(false.value, gain.value, xerr=2 * false.error, yerr=2 * gain.error, fmt="o", capsize=3)
        axes.annotate(rule, (false.value, gain.value), textcoords="offset points", xytext=(8, 6))
    axes.set_xlabel("share of certified steps (rules with final keeps: of keeps) that gain nothing")
    axes.set_ylabel("gain relative to greedy")
    axes.set_title("Keep rules on synthetic nights (means over the nights with effects, 2 s.e.)", fontsize=10)
    axes.margins(x=0.2, y=0.1)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep rules on synthetic nights")
    parser.add_argument("--nights", type=int, default=400, help="per rule, kind of night and condition")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument(
        "--file", type=Path, default=DEFAULT, help="what is played (scripts/synthetic_nights.py)"
    )
    parser.add_argument("--out", type=Path, help="folder for nights.csv, table.md and nights.png")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--every", action="store_true", help="every condition with every kind of night")
    for name in ("rules", "kinds", "conditions"):
        parser.add_argument(f"--{name}", nargs="+", help="only these")
    chosen = parser.parse_args()
    only = {name: given for name in ("rules", "kinds", "conditions") if (given := getattr(chosen, name))}
    try:
        book = read(chosen.file)
        known = {"rules": RULES, "kinds": book.nights, "conditions": book.conditions}
        for name, given in only.items():
            if unknown := [one for one in given if one not in known[name]]:
                raise ValueError(f"--{name} {unknown[0]}: there is no such one, but {', '.join(known[name])}")
        if chosen.nights < 2 or chosen.processes < 1:
            raise ValueError("--nights must be 2 or more, --processes 1 or more")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    cells, study, out = [], reference(), chosen.out
    print(" " * 45 + "  ".join(f"{figure:<18}" for figure in FIGURES))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "nights.csv").write_text(",".join(COLUMNS) + "\n")
    for one in simulated(chosen.file, chosen.nights, chosen.seed, chosen.processes, chosen.every, only):
        cells.append(one)
        print(line(one, study), flush=True)
        if out:
            with (out / "nights.csv").open("a", newline="") as file:
                csv.writer(file).writerows(rows(one))
    said = "\n".join(tables(cells, book))
    print(said)
    if out:
        (out / "table.md").write_text(said + "\n")
        try:
            write_plot(out / "nights.png", cells, book)
        except ImportError:
            print("no plot: pip install matplotlib")
    return 0


if __name__ == "__main__":
    sys.exit(main())
