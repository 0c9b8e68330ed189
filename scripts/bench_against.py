"""What this build's checks cost beside an earlier build's: seconds a trial and a session, measured in turns.

    git worktree add /tmp/earlier a218e17
    python scripts/bench_against.py /tmp/earlier task=digits
    python scripts/bench_against.py /tmp/earlier task=nanochat pairs=2

Plays the same session in both, each with its own tasks (their data are made before, and not counted), one after the
other and the other way round: `agent=random`, three proposals, a certificate of two trials a side, the keep rule that
both have. A trial's own seconds are what the budget bills; what is left of a session is what a build adds: start-up,
isolation, scoring, guards, rows. Medians over `pairs` (default 3) sessions of each. Wants a quiet machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
_SESSION = ["agent=random", "keep=race", "budget.proposals=3", "budget.certificate=2", "tracking=none"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a session: wall and CPU seconds, its trials, what they were billed."""

    seconds: float
    cpu_seconds: float
    trials: int
    billed: float

    @property
    def a_trial(self) -> dict[str, float]:
        """Name -> seconds a trial."""
        added, worked = self.seconds - self.billed, self.cpu_seconds - self.billed
        return {
            "seconds a trial": self.seconds / self.trials,
            "of them not billed": added / self.trials,
            "CPU seconds not billed": worked / self.trials,
        }

    @property
    def billed_percent(self) -> float:
        """Of the session's seconds; its start and end are in them."""
        return 100 * self.billed / self.seconds


def played(build: Path, place: Path, number: int, settings: list[str]) -> Cost:
    """A session of that build in `place`, from its start to its end. Raises SystemExit where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(build), "HARNESS_CACHE": str(place / "cache")}
    environment.pop("HARNESS_TASKS", None)
    command = [
        sys.executable,
        "-m",
        "harness",
        *settings,
        f"session.folder={place}",
        f"session.tag=s{number}",
    ]
    place.mkdir(exist_ok=True)
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - begin, os.times()
    if done.returncode:
        raise SystemExit(f"{build}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = (place / f"s{number}" / "ledger.jsonl").read_text().splitlines()
    finished = [row for row in map(json.loads, lines) if row["kind"] == "trial_finished"]
    worked = sum(after[2:4]) - sum(before[2:4])
    return Cost(seconds, worked, len(finished), sum(row["billed_seconds"] for row in finished))


def shown(name: str, costs: dict[str, list[float]]) -> str:
    middle = {build: statistics.median(values) for build, values in costs.items()}
    old, new = middle["earlier"], middle["this"]
    return f"{name:<24} {old:>9.2f} {new:>9.2f} {new - old:>+9.2f} {new / old:>7.2f}x"


def main(arguments: list[str]) -> None:
    folders = [one for one in arguments if "=" not in one]
    if len(folders) != 1 or not (Path(folders[0]) / "harness").is_dir():
        raise SystemExit("bench_against takes the folder of an earlier checkout, then key=value")
    pairs = int(next((one.partition("=")[2] for one in arguments if one.startswith("pairs=")), "3"))
    settings = [*_SESSION, *(one for one in arguments if "=" in one and not one.startswith("pairs="))]
    builds = {"earlier": Path(folders[0]).resolve(), "this": HERE}
    found: dict[str, list[Cost]] = {name: [] for name in builds}
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        for number in range(pairs + 1):  # the first pair makes data and caches
            for name in list(builds)[:: -1 if number % 2 else 1]:
                cost = played(builds[name], Path(folder) / name, number, settings)
                found[name] += [cost] if number else []
                print(
                    f"{name} {number}: {cost.seconds:.1f} s, {cost.trials} trials",
                    file=sys.stderr,
                    flush=True,
                )
    print(
        f"{' '.join(settings)}, medians of {pairs}\n{'':<24} {'earlier':>9} {'this':>9} {'more':>9} {'ratio':>8}"
    )
    print(shown("seconds a session", {name: [one.seconds for one in costs] for name, costs in found.items()}))
    print(shown("trials", {name: [float(one.trials) for one in costs] for name, costs in found.items()}))
    percent = {name: [one.billed_percent for one in costs] for name, costs in found.items()}
    print(shown("billed, % of a session", percent))
    for what in found["this"][0].a_trial:
        print(shown(what, {name: [one.a_trial[what] for one in costs] for name, costs in found.items()}))


if __name__ == "__main__":
    main(sys.argv[1:])
