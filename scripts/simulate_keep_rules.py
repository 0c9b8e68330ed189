"""Drives the keep rules of `harness.keep` over synthetic nights and prints what they gain and what they get wrong.

    python scripts/simulate_keep_rules.py [--nights 1000] [--out FOLDER]

Figures stand beside those of the study that the default rule was chosen by (reference_nights.csv; 400 nights a
cell, another implementation). A cell that differs by more than three Monte Carlo errors is marked. With --out it
writes nights.csv and, where matplotlib is installed, nights.png.
"""

import argparse
import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from synthetic_nights import Estimate, nights, summary

from harness.keep.bayes import Bayes
from harness.keep.greedy import Greedy
from harness.keep.race import Race
from harness.keep.rerun import Rerun
from harness.protocols import KeepRule

RULES: dict[str, KeepRule] = {
    "greedy": Greedy(),
    "race": Race(),
    "strict": Race(alpha=0.01),
    "rerun 1 sd": Rerun(margin_sd=1.0),
    "rerun 1.5 sd": Rerun(),
    "bayes": Bayes(),
}
CASES = (("mar8", 100), ("mar8", 400), ("all", 100), ("late", 200), ("sparse", 200), ("null", 100))
FIGURES = ("gain", "keeps", "false_share", "any_false", "over_claim", "slots_per_decision")
_REFERENCE = Path(__file__).with_name("reference_nights.csv")


class Cell(NamedTuple):
    """One rule in one scenario: our estimates, and the study's where it has them."""

    rule: str
    scenario: str
    slots: int
    nights: int
    ours: dict[str, Estimate]
    study: dict[str, Estimate]


def reference() -> dict[tuple[str, str, int], dict[str, Estimate]]:
    """The study's cells. Its errors: of the gain as stated, of the rest from the spread of our own nights."""
    with _REFERENCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[tuple[str, str, int], dict[str, Estimate]] = {}
    for row in rows:
        cell = {name: Estimate(float(row[name]), math.nan) for name in FIGURES}
        cell["gain"] = Estimate(float(row["gain"]), float(row["gain_error"]))
        cell["nights"] = Estimate(float(row["nights"]), 0.0)
        found[row["rule"], row["scenario"], int(row["slots"])] = cell
    return found


def simulated(count: int, seed: int) -> list[Cell]:
    study, cells = reference(), []
    for scenario, slots in CASES:
        for name, rule in RULES.items():
            ours = summary(nights(rule, scenario, slots, count, seed), slots)
            cells.append(Cell(name, scenario, slots, count, ours, study.get((name, scenario, slots), {})))
            print(line(cells[-1]), flush=True)
    return cells


def deviation(cell: Cell, figure: str) -> float | None:
    """Difference to the study in Monte Carlo errors of both; None where the study has no figure."""
    if figure not in cell.study:
        return None
    ours, theirs = cell.ours[figure], cell.study[figure]
    error = theirs.error
    if math.isnan(error):
        error = ours.error * math.sqrt(cell.nights / cell.study["nights"].value)
    both = math.hypot(ours.error, error)
    return (ours.value - theirs.value) / both if both > 0 else 0.0


def line(cell: Cell) -> str:
    parts = []
    for figure in FIGURES:
        ours, away = cell.ours[figure], deviation(cell, figure)
        other = f"{cell.study[figure].value:.3g}" if away is not None else "-"
        mark = "*" if away is not None and abs(away) > 3 else ""
        parts.append(f"{ours.value:.3g} ±{ours.error:.2g} ({other}){mark}")
    return f"{cell.scenario + ' ' + str(cell.slots):<11} {cell.rule:<13} " + "  ".join(
        f"{part:<24}" for part in parts
    )


def over_scenarios(cells: Sequence[Cell], rule: str) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Means over the scenarios with effects: gain relative to greedy, false share, slots per decision; A/A keeps."""
    own = {(cell.scenario, cell.slots): cell.ours for cell in cells if cell.rule == rule}
    greedy = {(cell.scenario, cell.slots): cell.ours for cell in cells if cell.rule == "greedy"}
    cases = [case for case in own if case[0] != "null"]
    ratios = []
    for case in cases:
        value = own[case]["gain"].value / greedy[case]["gain"].value
        relative = [cell[case]["gain"].error / cell[case]["gain"].value for cell in (own, greedy)]
        ratios.append(Estimate(value, 0.0 if rule == "greedy" else value * math.hypot(*relative)))
    return (
        _average(ratios),
        _average([own[case]["false_share"] for case in cases]),
        _average([own[case]["slots_per_decision"] for case in cases]),
        own[("null", 100)]["keeps"],
    )


def _average(parts: Sequence[Estimate]) -> Estimate:
    return Estimate(
        sum(part.value for part in parts) / len(parts),
        math.sqrt(sum(part.error**2 for part in parts)) / len(parts),
    )


def table(cells: Sequence[Cell]) -> list[str]:
    """The figures that a rule is chosen by, as a Markdown table."""
    said = [
        "| rule | gain / greedy | false share | A/A keeps | A/A nights with one | slots / decision |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        gain, false, slots, null = over_scenarios(cells, rule)
        any_false = next(
            cell.ours["any_false"] for cell in cells if (cell.rule, cell.scenario) == (rule, "null")
        )
        figures = (gain, false, null, any_false, slots)
        said.append(f"| {rule} | " + " | ".join(f"{x.value:.3f} ± {x.error:.3f}" for x in figures) + " |")
    return said


def write_csv(path: Path, cells: Sequence[Cell]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["rule", "scenario", "slots", "nights", "figure", "value", "error", "study", "deviation"]
        )
        for cell in cells:
            for figure in FIGURES:
                ours, away = cell.ours[figure], deviation(cell, figure)
                study = cell.study[figure].value if away is not None else ""
                about = [cell.rule, cell.scenario, cell.slots, cell.nights, figure]
                writer.writerow([*about, f"{ours.value:.6g}", f"{ours.error:.3g}", study, away or ""])


def write_plot(path: Path, cells: Sequence[Cell]) -> None:
    """Gain against false share, one point a rule: up and to the left is better."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), dpi=150)
    for rule in RULES:
        gain, false, _, _ = over_scenarios(cells, rule)
        axes.errorbar(false.value, gain.value, xerr=2 * false.error, yerr=2 * gain.error, fmt="o", capsize=3)
        axes.annotate(rule, (false.value, gain.value), textcoords="offset points", xytext=(8, 6))
    axes.set_xlabel("share of keeps that are no improvement")
    axes.set_ylabel("gain relative to greedy")
    axes.set_title("Keep rules on synthetic nights (means over five scenarios, 2 s.e.)", fontsize=10)
    axes.margins(x=0.2, y=0.1)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep rules on synthetic nights")
    parser.add_argument("--nights", type=int, default=1000, help="per rule and scenario")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for nights.csv and nights.png")
    chosen = parser.parse_args()
    print("scenario    rule          " + "  ".join(f"{figure:<24}" for figure in FIGURES))
    cells = simulated(chosen.nights, chosen.seed)
    print("\n" + "\n".join(table(cells)))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_csv(chosen.out / "nights.csv", cells)
        try:
            write_plot(chosen.out / "nights.png", cells)
        except ImportError:
            print("no plot: pip install matplotlib")


if __name__ == "__main__":
    main()
