"""Do programs that are near to each other have luck with the same seeds? Then pairing trials by seed would save trials.

    python scripts/seed_correlation.py task=nanochat budget=cpu [--seeds 12] [--processes 32] [--csv FILE]

The task's own program and its first recorded patches (replay/*.patch) that apply and run are each measured on the same
seeds, in the sandbox and by the clock of a session; the referee's dice (salt and order of the data) follow the seed,
so equal seeds are as alike as a session could make them. Said are the correlation of losses between every two programs
with its 95 % interval (Fisher's z), what all have in common (intraclass correlation, with the interval of its F), and
what pairing would save: the variance of a difference as a share of that of independent seeds, which is 1 - correlation.
Pairing is worth building where that interval lies above .5. A second figure: how far trials of --share of the budget
(.3) foretell those of the whole, between programs and between the seeds of one. Other overrides are as in
`python -m harness`; a time budget wants a quiet machine.
"""

import argparse
import csv
import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from many_cores import Bench, Job, together

from harness.agents.api.patches import PatchError, apply, read_patch
from harness.commands import run
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.records import Files
from harness.trial.seeds import new_secret, trial_seed

WORTH_PAIRING = 0.5


def variants(setup: Setup) -> Iterator[tuple[str, Files]]:
    """The program as it is, then each recorded patch on it."""
    source = setup.task.source()
    yield "baseline", source
    for file in sorted(setup.task.file(setup.task.replay).glob("*.patch")):
        try:
            edit = apply(read_patch(file.read_bytes()), source)
        except PatchError:
            continue  # it builds on another one
        yield file.stem, {**source, **edit.files}


def correlation(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """With its 95 % interval by Fisher's z. Raises ValueError for fewer than four pairs or losses without spread."""
    if len(one) < 4:
        raise ValueError("a correlation with an interval needs four seeds or more")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        raise ValueError("losses that do not vary correlate with nothing")
    found = float(np.corrcoef(one, other)[0, 1])
    middle, half = math.atanh(min(max(found, -0.999999), 0.999999)), 1.96 / math.sqrt(len(one) - 3)
    return found, math.tanh(middle - half), math.tanh(middle + half)


def agreement(losses: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The share of the variance within programs that equal seeds have in common, with its 95 % interval.

    losses: one row a program, of the same seeds. The intraclass correlation of programs for a seed, their means taken
    off (Shrout and Fleiss 1979, ICC(3,1), with the interval of its F statistic).
    """
    from scipy.stats import f

    table = np.array(losses).T
    seeds, programs = table.shape
    rows, rest = seeds - 1, (seeds - 1) * (programs - 1)
    between = programs * float(np.square(table.mean(axis=1) - table.mean()).sum()) / rows
    total = float(np.square(table - table.mean(axis=0)).sum())
    within = (total - between * rows) / rest
    ratio = between / within
    low, high = ratio / f.ppf(0.975, rows, rest), ratio * f.ppf(0.975, rest, rows)
    found, least, most = ((each - 1) / (each + programs - 1) for each in (ratio, low, high))
    return found, float(least), float(most)


def verdict(low: float, high: float) -> str:
    """What an interval of the correlation says about pairing trials by seed."""
    if low > WORTH_PAIRING:
        return "pairing by seed is worth building"
    return (
        "cannot tell whether pairing by seed is worth building"
        if high > WORTH_PAIRING
        else "pairing by seed is not worth building"
    )


def lines(losses: dict[str, list[float]]) -> Iterator[str]:
    """A line a pair, then what they have in common and what follows."""
    for one, other in itertools.combinations(losses, 2):
        value, low, high = correlation(losses[one], losses[other])
        yield f"{one} with {other}: {value:+.2f} ({low:+.2f} to {high:+.2f})"
    value, low, high = agreement([*losses.values()])
    yield (
        f"all {len(losses)} programs {value:+.2f} ({low:+.2f} to {high:+.2f}): a difference of two trials of one seed "
        f"has {1 - value:.2f} of the variance of two seeds; {verdict(low, high)} (above {WORTH_PAIRING})"
    )


def curve_lines(whole: dict[str, list[float]], part: dict[str, list[float]], share: float) -> Iterator[str]:
    """How far trials of a share of the budget foretell those of the whole: between programs, and between seeds."""
    means = [[statistics.fmean(losses[name]) for name in whole] for losses in (part, whole)]
    order = [sorted(whole, key=lambda name, of=of: statistics.fmean(of[name])) for of in (part, whole)]  # type: ignore[misc] # bound at once
    yield f"at {share:.0%} of the budget: best to worst {', '.join(order[0])}; at the whole {', '.join(order[1])}"
    if len(whole) >= 4:
        value, low, high = correlation(*means)
        said = f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
        yield f"means of {len(whole)} programs at {share:.0%} and at the whole: {said}"
    pooled = [
        np.concatenate([np.array(of[name]) - np.mean(of[name]) for name in whole]) for of in (part, whole)
    ]
    value = float(np.corrcoef(pooled)[0, 1])
    half = 1.96 / math.sqrt(pooled[0].size - len(whole) - 2)
    low, high = (math.tanh(math.atanh(value) + side * half) for side in (-1, 1))
    yield f"one program, seed by seed, at {share:.0%} and at the whole: {value:+.2f} ({low:+.2f} to {high:+.2f})"


def shortened(setup: Setup, share: float) -> list[str]:
    """Overrides that leave a trial this share of its budget."""
    profile = setup.budget.trial_profile(setup.task)
    if profile.steps is not None:
        return [f"budget.steps={max(1, round(share * profile.steps))}"]
    return [f"budget.seconds={share * profile.seconds:g}"]


def measured(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="seed_correlation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--variants", type=int, default=4)
    parser.add_argument("--processes", type=int, default=1, help="trials at a time, each on cores of its own")
    parser.add_argument("--share", type=float, default=0.3, help="of the budget, beside the whole; 0: not")
    parser.add_argument("--csv", type=Path)
    chosen, overrides = parser.parse_known_args(arguments)
    if chosen.seeds < 4 or chosen.variants < 2:
        raise UserError("--seeds must be 4 or more, --variants 2 or more")
    setup, secret = load(overrides), new_secret()
    programs = dict(itertools.islice(variants(setup), chosen.variants))
    seeds = [trial_seed(secret, f"seed-{number}") for number in range(chosen.seeds)]
    benches = [Bench((*overrides,))]
    if chosen.share:
        benches.append(Bench((*overrides, *shortened(setup, chosen.share))))
    asked = list(itertools.product(range(len(benches)), seeds, programs))
    jobs = [(bench, Job(programs[name], seed)) for bench, seed, name in asked]
    found = list(together(benches, jobs, chosen.processes))
    for name in list(programs):
        failed = [
            said
            for (_, _, of), said in zip(asked, found, strict=True)
            if of == name and isinstance(said, str)
        ]
        if failed:
            print(f"{name}: {failed[0]}; left out", file=sys.stderr)
            del programs[name]
    if len(programs) < 2:
        raise UserError("fewer than two programs ran: nothing to correlate")
    tables = [
        {
            name: [
                float(loss)
                for (at, _, of), loss in zip(asked, found, strict=True)
                if (at, of) == (bench, name)
            ]
            for name in programs
        }
        for bench in range(len(benches))
    ]
    if chosen.csv:
        with chosen.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("share", "seed", *programs))
            for share, table in zip((1.0, chosen.share), tables, strict=False):
                writer.writerows((share, *row) for row in zip(seeds, *table.values(), strict=True))
    print("\n".join(lines(tables[0])))
    if chosen.share:
        print("\n".join(curve_lines(tables[0], tables[1], chosen.share)))
    return 0


if __name__ == "__main__":
    sys.exit(run(measured, "seed_correlation"))
