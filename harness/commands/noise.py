"""`harness noise [task=NAME] [runs=8] [key=value ...]`: how much the unmodified task's score varies on this machine.

A/A trials of the baseline on fresh seeds; prints the sd, what differences a number of trials can show, and how
steady the machine is. The sd is stored for the warm start of later sessions. Repeating the command goes on with
the same trials; repeat=1 makes others.

Examples:

    harness noise task=nanochat
    harness noise task=digits budget=smoke runs=20
"""

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import run
from harness.errors import UserError
from harness.keep.drift import Drift, change_point
from harness.keep.noise_level import NoiseLevel, mean, pooled
from harness.keep.power import detectable, smallest_effect
from harness.records import Role, step_rate
from harness.task.waiting import BEFORE_FIRST, told

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.records import Observation
    from harness.session.folder import OpenSession

_DEFAULT_RUNS = 8
_SHOWN_RUNS = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class Summary:
    """sd in [low, high] with 95 % confidence. rate_spread: relative sd of steps per second, None if unknown."""

    count: int
    mean: float
    level: NoiseLevel
    low: float
    high: float
    rate: float | None
    rate_spread: float | None
    drift: Drift | None


def summary(losses: Sequence[float], step_rates: Sequence[float] = ()) -> Summary:
    """What A/A trials say; losses in the order of the trials. Raises ValueError for fewer than two."""
    level = pooled((losses,))
    if level is None:
        raise ValueError("the spread of scores needs at least two trials that ended with a score")
    from scipy.special import chdtri

    low, high = (level.sd * math.sqrt(level.df / float(chdtri(level.df, tail))) for tail in (0.025, 0.975))
    rates = [rate for rate in step_rates if rate > 0]
    spread = pooled((rates,))
    return Summary(
        count=len(losses),
        mean=mean(losses),
        level=level,
        low=low,
        high=high,
        rate=mean(rates) if rates else None,
        rate_spread=spread.sd / mean(rates) if spread else None,
        drift=change_point(losses, level),
    )


def lines(found: Summary, unit: str = "", turned: float = 1.0) -> list[str]:
    """The same for people. turned: -1 where the score is the negative of the loss."""
    sd, suffix = found.level.sd, f" {unit}" if unit else ""
    interval = f"95 % {found.low:.2g} to {found.high:.2g}"
    said = [f"{found.count} trials: mean {turned * found.mean:.5g}{suffix}, sd {sd:.2g} ({interval})"]
    if sd == 0:
        return [*said, "equal scores on all seeds: the task is deterministic, any difference is real"]
    said += [
        f"{runs} {'seed' if runs == 1 else 'seeds'} a side detect a difference of "
        f"{detectable(sd, found.level.df, runs):.2g} or more with 80 % power (one-sided .05)"
        for runs in _SHOWN_RUNS
    ]
    said.append(f"the race keeps an improvement of {smallest_effect() * sd:.2g} with 80 % probability")
    if found.rate is not None and found.rate_spread is not None:
        steady = "steady" if found.rate_spread < 0.02 else "NOT steady: other work shares this machine"
        said.append(f"speed: {found.rate:.3g} steps a second, varying by {found.rate_spread:.1%}: {steady}")
    return [*said, found.drift.text] if found.drift else said


def main(arguments: list[str]) -> int:
    """Raises HarnessError."""
    from harness.config.setup import load
    from harness.session.folder import open_session

    runs, rest = split_runs(arguments)
    setup = load(rest, proposing=False)
    with open_session(setup, folder(setup), ()) as bench:
        losses, rates = measure(bench, runs)
        try:
            found = summary(losses, rates)
        except ValueError as error:
            raise UserError(f"task {setup.task.name}: {error}") from error
        _store(setup, bench, found)
        said = lines(found, setup.task.unit, bench.trial_runner.state.loss(1.0))
    for line in said:
        print(line)
    return 0


def split_runs(arguments: list[str]) -> tuple[int, list[str]]:
    """`runs=N` is ours, the rest is a session's configuration."""
    ours = [argument for argument in arguments if argument.startswith("runs=")]
    text = ours[-1].removeprefix("runs=") if ours else str(_DEFAULT_RUNS)
    if not text.isdecimal() or int(text) < 2:
        raise UserError(f"runs={text}: give a whole number from 2 on, e.g. runs=8")
    return int(text), [argument for argument in arguments if argument not in ours]


def folder(setup: "Setup") -> Path:
    repeat = f"-r{setup.repeat}" if setup.repeat else ""
    return Path(setup.session.folder) / f"noise-{setup.task.name}-{setup.fingerprint[:8]}{repeat}"


def measure(bench: "OpenSession", runs: int) -> tuple[list[float], list[float]]:
    """Losses and steps a second of `runs` trials of the baseline, those of an earlier call included."""
    trial_runner, state = bench.trial_runner, bench.trial_runner.state
    source = bench.workspace.files(state.baseline)
    there = len(state.counted(state.baseline, Role.NOISE))
    wanted = [f"noise-{number}" for number in range(there + 1, runs + 1)]
    trial_runner.expect([trial_runner.order(source, state.baseline, Role.NOISE, name) for name in wanted])
    while len(state.counted(state.baseline, Role.NOISE)) < runs:
        number = len(state.counted(state.baseline, Role.NOISE)) + 1
        with (
            told(f"making trial {number} of {runs} {BEFORE_FIRST}") if number == there + 1 else nullcontext()
        ):
            seen = trial_runner.measure(source, state.baseline, Role.NOISE, f"noise-{number}")
        print(f"trial {number} of {runs}: {seen.outcome.value} {_shown(seen)}", file=sys.stderr, flush=True)
    trial_runner.expect([])
    trials = state.counted(state.baseline, Role.NOISE)[:runs]
    losses = [state.loss(seen.score) for seen in trials if seen.score is not None]
    rates = [step_rate(seen.claims, seen.billed_seconds) for seen in trials]
    return losses, [rate for rate in rates if rate]


def _shown(seen: "Observation") -> str:
    from harness.report.words import score_text

    return seen.reason if seen.score is None else score_text(seen.score)


def _store(setup: "Setup", bench: "OpenSession", found: Summary) -> None:
    from harness.keep import warm_start

    name = warm_start.key(setup.task, bench.profile)
    warm_start.remember(name, str(bench.folder.resolve()), found.level)


if __name__ == "__main__":
    sys.exit(run(main, "harness.noise", about=__doc__))
