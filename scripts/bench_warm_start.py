"""What of a trial's wall-clock time is not billed, with warm interpreters and without, alternating in one call.

    python scripts/bench_warm_start.py [rounds=2] [trials=3] [any setting of harness]

A round is so many trials of the unmodified task in a row, warm and then cold, each measured as a session does it: rows,
sandbox, gate, clock, artefact, scoring, and what is prepared for the next one meanwhile. The first round of each is
thrown away: it makes what later ones find. Prints medians of seconds a trial, and the billed share.
"""

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from harness.config.setup import load
from harness.records import Role
from harness.session.folder import OpenSession, open_session

NAMES = ("start-up", "billed", "waiting", "scoring", "the rest")


class Spent(NamedTuple):
    """Wall-clock seconds of one trial. waiting: after the gate, without a processor."""

    startup: float
    billed: float
    waiting: float
    scoring: float
    rest: float

    @property
    def whole(self) -> float:
        return sum(self)


def measured(bench: OpenSession, source: "dict[str, bytes]", name: str) -> Spent:
    """One trial of the baseline with its scoring."""
    trial_runner = bench.trial_runner
    begin = time.perf_counter()
    trial_runner.measure(source, trial_runner.state.baseline, Role.NOISE, name)
    whole = time.perf_counter() - begin
    trial = trial_runner.state.trials[-1]
    seen, scoring = trial.measured, trial.scored.seconds if trial.scored else 0.0
    passed = seen.wall_seconds - seen.startup_seconds
    billed = min(seen.billed_seconds, passed)
    return Spent(seen.startup_seconds, billed, passed - billed, scoring, whole - seen.wall_seconds - scoring)


def settle(bench: OpenSession) -> None:
    """What was begun for a next trial is over: it would take from the other side's."""
    wait = getattr(bench.trial_runner.evaluator, "await_ready", None)
    if wait:
        wait()


def row(name: str, values: list[float]) -> str:
    return f"  {name:<10}" + "".join(f"{value:10.2f}" for value in values)


def main(arguments: list[str]) -> None:
    own = dict(a.split("=", 1) for a in arguments if a.partition("=")[0] in ("rounds", "trials"))
    rest = [a for a in arguments if a.partition("=")[0] not in own]
    rounds, trials = int(own.get("rounds", "2")), int(own.get("trials", "3"))
    sides: dict[str, list[Spent]] = {"warm": [], "cold": []}
    with ExitStack() as stack:
        benches = {}
        for name, word in (("warm", "true"), ("cold", "false")):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            setup = load([*rest, f"sandbox.warm={word}"])
            benches[name] = stack.enter_context(open_session(setup, folder, ()))
        for number in range(rounds + 1):
            for name, bench in benches.items():
                source = dict(bench.workspace.files(bench.trial_runner.state.baseline))
                for trial in range(trials if number else 1):
                    spent = measured(bench, source, f"{name}-{number}-{trial}")
                    sides[name] += [spent] if number else []
                settle(bench)
    print_sides(sides, f"task {setup.task.name}, isolation L{int(bench.sandbox.level)}")


def print_sides(sides: dict[str, list[Spent]], title: str) -> None:
    count = len(sides["warm"])
    print(f"{title}, {count} trials a side, wall-clock seconds a trial (median)")
    print(f"  {'':<10}" + "".join(f"{name:>10}" for name in (*NAMES, "unbilled", "whole", "share")))
    unbilled = {}
    for name, spent in sides.items():
        unbilled[name] = statistics.median(each.whole - each.billed for each in spent)
        parts = [statistics.median(column) for column in zip(*spent, strict=True)]
        share = sum(each.billed for each in spent) / sum(each.whole for each in spent)
        print(row(name, [*parts, unbilled[name], statistics.median(each.whole for each in spent), share]))
    print(f"  unbilled seconds, warm : cold  {unbilled['warm'] / unbilled['cold']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
