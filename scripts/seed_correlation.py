"""Do programs that are near to each other have luck with the same seeds? Then pairing trials by seed would save trials.

    python scripts/seed_correlation.py task=nanochat budget=cpu [--seeds 12] [--variants 4] [--csv FILE]

The task's own program and its first recorded patches (replay/*.patch) that apply and run are each measured on the same
seeds, in the sandbox and by the clock of a session; the referee's dice (salt and order of the data) follow the seed,
so equal seeds are as alike as a session could make them. Said are the correlation of losses between every two programs
with its 95 % interval (Fisher's z), the mean over pairs, and what pairing would save: the variance of a difference as a
share of that of independent seeds, which is 1 - correlation. Pairing is worth building above .5. Other overrides are as
in `python -m harness`; a time budget wants a quiet machine.
"""

import argparse
import csv
import itertools
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.agents.api.patches import PatchError, apply, read_patch
from harness.commands import run
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.records import Files, Outcome
from harness.session.rig import Rig, opened
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


def losses_of(rig: Rig, name: str, source: Files, seeds: Sequence[int]) -> list[float] | None:
    """One trial a seed; None for a program that does not run."""
    found = []
    for number, seed in enumerate(seeds, start=1):
        result = rig.trial(f"{name}-{number}", source, seed)
        if result.outcome is not Outcome.COMPLETED:
            print(f"{name}: {result.outcome}, {result.reason}; left out", file=sys.stderr, flush=True)
            return None
        score = rig.score(result, source)
        (rig.folder / result.artefact).unlink()
        if score.value is None:
            print(f"{name}: {score.reason}; left out", file=sys.stderr, flush=True)
            return None
        found.append(score.value)
        print(f"{name} {seed} {score.value!r}", file=sys.stderr, flush=True)
    return found


def correlation(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """With its 95 % interval by Fisher's z. Raises ValueError for fewer than four pairs or losses without spread."""
    if len(one) < 4:
        raise ValueError("a correlation with an interval needs four seeds or more")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        raise ValueError("losses that do not vary correlate with nothing")
    found = float(np.corrcoef(one, other)[0, 1])
    middle, half = math.atanh(min(max(found, -0.999999), 0.999999)), 1.96 / math.sqrt(len(one) - 3)
    return found, math.tanh(middle - half), math.tanh(middle + half)


def lines(losses: dict[str, list[float]]) -> Iterator[str]:
    """A line a pair, then the mean and what follows."""
    found = []
    for one, other in itertools.combinations(losses, 2):
        value, low, high = correlation(losses[one], losses[other])
        found.append(value)
        yield f"{one} with {other}: {value:+.2f} ({low:+.2f} to {high:+.2f})"
    mean = sum(found) / len(found)
    word = "worth building" if mean > WORTH_PAIRING else "not worth building"
    yield (
        f"mean of {len(found)} pairs {mean:+.2f}: a difference of two trials of one seed has {1 - mean:.2f} of the "
        f"variance of two seeds; pairing by seed is {word} (above {WORTH_PAIRING})"
    )


def measured(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="seed_correlation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--variants", type=int, default=4)
    parser.add_argument("--csv", type=Path)
    chosen, overrides = parser.parse_known_args(arguments)
    if chosen.seeds < 4 or chosen.variants < 2:
        raise UserError("--seeds must be 4 or more, --variants 2 or more")
    setup, secret, losses = load(overrides), new_secret(), dict[str, list[float]]()
    seeds = [trial_seed(secret, f"seed-{number}") for number in range(chosen.seeds)]
    with tempfile.TemporaryDirectory(prefix="seeds-") as folder, opened(setup, Path(folder)) as rig:
        for name, source in variants(setup):
            if (found := losses_of(rig, name, source, seeds)) is not None:
                losses[name] = found
            if len(losses) == chosen.variants:
                break
    if chosen.csv:
        with chosen.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("seed", *losses), *zip(seeds, *losses.values(), strict=True)])
    if len(losses) < 2:
        raise UserError("fewer than two programs ran: nothing to correlate")
    print("\n".join(lines(losses)))
    return 0


if __name__ == "__main__":
    sys.exit(run(measured, "seed_correlation"))
