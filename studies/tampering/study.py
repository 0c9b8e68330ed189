"""Can it be fooled? The shipped attacks and their honest twins, asked of the static guards.

    make study NAME=tampering [ARGS="task=digits --static"]

Runs `harness redteam` with these arguments (without --static: trials, too, which takes long) and writes results.json
and figure.svg beside this file.
"""

import json
import sys
from pathlib import Path
from typing import Any

from harness.commands.redteam import main as redteam

HERE = Path(__file__).parent


def draw(result: dict[str, Any], file: Path) -> None:
    """Catch rate and false-block rate with their 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "study"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 1.8))
    names = {"caught": "attacks caught", "blocked": "honest twins blocked"}
    for place, key in enumerate(names):
        found = result[key]
        share = found["count"] / found["total"]
        axes.errorbar(
            share,
            place,
            xerr=[[share - found["low"]], [found["high"] - share]],
            fmt="o",
            capsize=4,
            clip_on=False,
        )
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share, of {result['caught']['total']} each (95 %)")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main(arguments: list[str]) -> int:
    """The status of `harness redteam`."""
    file = HERE / "results.json"
    status = redteam([*(arguments or ["task=digits", "--static"]), "--json", str(file)])
    draw(json.loads(file.read_text()), HERE / "figure.svg")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
