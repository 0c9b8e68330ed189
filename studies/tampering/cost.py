"""What the referee costs: the same program trained and scored without it and with it, by turns.

    python studies/tampering/cost.py [--tasks digits,nanochat,query_expansion] [--rounds 10] [--json FILE]

Without: one process trains, loads what it wrote and scores it on labels beside it (scripts/plain_trial.py). With: a
session's trial (sandbox, gate, dice, artefact) and the score by a predictor and an evaluator in processes of their own,
with all audits; and what the static guards are asked of a proposal. Wall clock, by turns, so that a machine that
changes does so for both; the interval is Student's for the logarithm of the ratio of each round.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from many_cores import machine_of, write_json
from plain_trial import Data, Program
from seed_hunt import SandboxBench
from shares import Interval, put_between

from harness.commands import run
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.records import Files
from harness.redteam.program import Baseline, Candidate
from harness.redteam.suite import asked_guards
from harness.task.prepare import prepared

PLAIN = Path(__file__).parents[2] / "scripts" / "plain_trial.py"
BUDGETS: dict[str, tuple[str, ...]] = {
    "digits": ("budget.steps=6000", "budget.seconds=60"),
    "nanochat": ("budget.steps=160", "budget.seconds=60"),
    "query_expansion": (),  # knows no steps: its own clock, 15 s, on both sides
}


def plain_seconds(setup: Setup, source: Files, seed: int) -> float:
    """Raises UserError for a program that fails."""
    task, profile = setup.task, setup.budget.trial_profile(setup.task)
    data = prepared(task, setup.budget.profile)
    with tempfile.TemporaryDirectory() as tree:
        for name, content in source.items():
            (Path(tree) / name).write_bytes(content)
        program = Program(tree, task.entry, task.artefact, str(task.path / "evaluate.py"), task.metric)
        train = {
            str(file.relative_to(data.public / "train")): str(file)
            for file in (data.public / "train").rglob("*")
        }
        asked = {
            "program": program._asdict(),
            "data": Data(str(data.public), str(data.private), train)._asdict(),
            "steps": profile.steps,
            "seconds": 1e9 if profile.steps else profile.seconds,
            "seed": seed,
        }
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(PLAIN), json.dumps(asked)], capture_output=True, text=True, check=False
        )
        took = time.perf_counter() - begin
    if done.returncode:
        raise UserError(f"{task.name}, plain: {done.stderr[-300:]}")
    return took


def guard_seconds(setup: Setup, source: Files, number: int) -> float:
    """What the static guards take for a proposal that nobody has read before."""
    program = Baseline(setup.task, setup.budget.trial_profile(setup.task), source)
    name = setup.task.editable[0]
    made = Candidate({**source, name: source[name] + f"\nREAD_{number} = {number}\n".encode()})
    ask = asked_guards(program, setup.guards)
    begin = time.perf_counter()
    ask(None, made)  # type: ignore[arg-type] # static guards are asked of a candidate alone
    return time.perf_counter() - begin


def cost(task: str, rounds: int) -> dict[str, Any]:
    """Seconds of each kind, a round an entry, and the ratio with its interval."""
    setup = load([f"task={task}", "budget=cpu", *BUDGETS[task]])
    source = setup.task.source()
    found: dict[str, list[float]] = {"plain": [], "referee": [], "guards": []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = SandboxBench(setup, "both", Path(folder), stack)
        bench.loss(source)  # what is made once, and read once
        guard_seconds(setup, source, 0)
        for number in range(1, rounds + 1):
            found["plain"].append(plain_seconds(setup, source, number))
            begin = time.perf_counter()
            bench.loss(source)
            found["referee"].append(time.perf_counter() - begin)
            found["guards"].append(guard_seconds(setup, source, number))
            print(task, {name: round(values[-1], 2) for name, values in found.items()}, flush=True)
    return {**found, "more": more(found)._asdict()}


def more(found: dict[str, Sequence[float]] | dict[str, list[float]]) -> Interval:
    """How much longer a proposal takes with the referee, as a share of the plain way."""
    from scipy.stats import t

    pairs = zip(found["plain"], found["referee"], found["guards"], strict=True)
    ratios = [math.log((referee + guards) / plain) for plain, referee, guards in pairs]
    half = float(t.ppf(0.975, len(ratios) - 1)) * statistics.stdev(ratios) / math.sqrt(len(ratios))
    middle = statistics.fmean(ratios)
    return Interval(*(math.expm1(value) for value in (middle, middle - half, middle + half)))


def lines(found: dict[str, Any]) -> list[str]:
    """The README's table."""
    rows = [
        "| task | plain, s | with the referee, s | static guards, s | more (95 %) |",
        "|---|---|---|---|---|",
    ]
    for task, each in found.items():
        medians = [f"{statistics.median(each[name]):.2f}" for name in ("plain", "referee", "guards")]
        share = "{:.0%} ({:.0%} to {:.0%})".format(*each["more"].values())
        rows.append(f"| {task} | {' | '.join(medians)} | {share} |")
    return rows


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(BUDGETS))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "cost.json")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.tasks.split(",")) - BUDGETS.keys():
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: choose {', '.join(BUDGETS)}")
    found: dict[str, Any] = {}
    for task in chosen.tasks.split(","):
        found[task] = cost(task, chosen.rounds)
        write_json(chosen.json, {"machine": machine_of(1), "rounds": chosen.rounds, "tasks": found})
    print("\n".join(lines(found)))
    if chosen.json.parent == Path(__file__).parent:
        put_between(Path(__file__).parent / "README.md", "cost", lines(found))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/tampering/cost.py", about=__doc__))
