"""The same trials made in several ways, one way after the other: trials an hour, and what is around a trial.

    python scripts/bench_slots.py executor.slots=1 executor.slots=4 -- task=digits budget=smoke budget.steps=400
    python scripts/bench_slots.py 'executor.gpus=[0]' executor.gpus=all minutes=5 -- task=nanochat budget=gpu
    python scripts/bench_slots.py executor=local executor=slurm,executor.slots=1 executor=ray,executor.slots=1 -- ...

A way is settings of harness, joined by commas where there is none inside brackets; what all have in common stands
behind `--`. trials=8: of each way, after the first ones of its slots; fewer where minutes=N (of all ways together,
opening included) are over first. texts=MIB: makes so much random text and gives it to the task as data.texts.

An hour is counted from the end of the first trial of every slot (which opens what is opened once) to the end of the
last one. Around a trial is what its slot spent on it beside the program and its scoring: the referee's own work, and
where it is made elsewhere a queue, a start of Python, the measured isolation, the way there and back.
"""

import itertools
import json
import random
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.config.setup import load
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.session.folder import open_session

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """seconds: between two trials' ends, for each slot. inside: of program and scoring."""

    way: str
    slots: int
    trials: int
    hourly: float
    seconds: float
    inside: float
    opening: float

    def line(self, first: "Found") -> str:
        return (
            f"{self.way:44} {self.slots:5} {self.trials:6} {self.hourly:8.0f} {self.hourly / first.hourly:7.2f} "
            f"{self.seconds:9.2f} {self.inside:7.2f} {self.seconds - self.inside:7.2f} {self.opening:8.1f}"
        )


def made(way: str, common: list[str], trials: int, folder: Path, until: float) -> Found:
    """Trials of the unmodified task. until: by time.monotonic()."""
    begin = time.monotonic()
    setup = load([*common, *_settings(way)])
    place = folder / setup.choices["executor"]  # ways on this machine share what was compiled before the gate
    with open_session(setup, place, ()) as bench:
        runner, state = bench.trial_runner, bench.trial_runner.state
        opening, before = time.monotonic() - begin, len(state.trials_by_role[Role.NOISE])
        source, wanted = bench.workspace.files(state.baseline), trials + runner.slots
        numbers = range(before + 1, before + wanted + 1)
        runner.expect([runner.order(source, state.baseline, Role.NOISE, f"noise-{n}") for n in numbers])
        ends = []
        for number in numbers:
            runner.measure(source, state.baseline, Role.NOISE, f"noise-{number}")
            ends.append(f"noise-{number}")
            print(f"{way}: {number - before} of {wanted}", file=sys.stderr, flush=True)
            rounds, rest = divmod(len(ends), runner.slots)
            if time.monotonic() > until and rounds > 1 and not rest:
                break
        return _found(way, runner.slots, state, ends, opening)


def _found(way: str, slots: int, state: SessionRecord, names: list[str], opening: float) -> Found:
    trials = [trial for name in names if (trial := state.trial(name)) is not None]
    ended = sorted(trial.measured.sitting_seconds or 0.0 for trial in trials)
    counted, took = len(ended) - slots, ended[-1] - ended[slots - 1]
    inside = statistics.fmean(
        trial.measured.wall_seconds + (trial.scored.seconds if trial.scored else 0)
        for trial in trials[slots:]
    )
    return Found(way, slots, counted, counted / took * 3600, took * slots / counted, inside, opening)


def _settings(way: str) -> list[str]:
    return [part for part in re.split(r",(?![^\[{]*[\]}])", way) if part]


def random_texts(folder: Path, mib: int) -> None:
    """Documents of made-up words, as often as words are."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(1, 9))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 2) for rank in range(len(words))))
    with (folder / "random.jsonl").open("w") as file:
        while file.tell() < mib * _MIB:
            file.write(json.dumps({"text": " ".join(draw.choices(words, cum_weights=weights, k=800))}) + "\n")


def main(arguments: list[str]) -> None:
    if "--" not in arguments:
        raise SystemExit(__doc__)
    place = arguments.index("--")
    own, common = arguments[:place], arguments[place + 1 :]
    options = {"trials": "8", "minutes": "60", "texts": "0"}
    options |= {name: text for name, _, text in (one.partition("=") for one in own) if name in options}
    ways = [one for one in own if one.partition("=")[0] not in options]
    begin, share = time.monotonic(), float(options["minutes"]) * 60 / len(ways)
    with tempfile.TemporaryDirectory(prefix="bench-slots-") as name:
        folder = Path(name)
        if int(options["texts"]):
            (folder / "texts").mkdir()
            random_texts(folder / "texts", int(options["texts"]))
            common.append(f"data.texts={folder / 'texts'}")
        print(f"{'way':44} slots trials  an hour : first  seconds  inside  around  opening", flush=True)
        found: list[Found] = []
        for number, way in enumerate(ways, 1):
            found.append(made(way, common, int(options["trials"]), folder, begin + number * share))
            print(found[-1].line(found[0]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
