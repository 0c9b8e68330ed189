"""Makes the single figures of docs/statistics.md again, on the classes of `harness.keep`.

    python scripts/statistics_figures.py [--count 4000] [--only NAME ...]

A line a figure: what the page states, what comes out here with its Monte Carlo error, and what it is. The tables of
whole nights are scripts/simulate_keep_rules.py's. The exit code is 1 where a figure is further than four standard
errors from what is stated. tests/keep/test_statistics_page.py plays them with fewer draws and looks for each stated
figure on the page.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from unittest import mock

import numpy as np
from rival_rules import EarlierRace
from synthetic_nights import Night, Simulation, World, nights, simulate

from harness.keep import noise_level
from harness.keep.certificate import certify
from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import from_evidence
from harness.keep.race import Race
from harness.keep.standing import Standing
from harness.protocols import KeepRule
from harness.records import KeepEvidence, Step

SIX_PINNED = ((1.0,) * 6,) * 3  # three configurations that ignore their seed


class Figure(NamedTuple):
    """stated: what the page says; written: how. play(count) gives the value and its standard error."""

    stated: float
    written: str
    about: str
    play: Callable[[int], tuple[float, float]]


def kept(
    rule: KeepRule, count: int, spread: float = 1.0, standing: Standing | None = None
) -> tuple[float, float]:
    """Share of proposals without effect that are kept, each against a fresh baseline of four trials."""
    rng = np.random.default_rng(1)
    worlds = (World([0.0], rng.normal(size=20).tolist(), (), [spread]) for _ in range(count))
    done = [
        len(Simulation(rule, world, standing or Standing()).run(one_decision=True).keeps) for world in worlds
    ]
    return _share(sum(done), count)


def _share(hits: int, count: int) -> tuple[float, float]:
    share = hits / count
    return share, math.sqrt(max(share * (1 - share), 1 / count) / count)


def pinned(count: int, left_out: bool) -> tuple[float, float]:
    """The same with configurations in the pool whose trials are all alike. left_out: as the code does it."""
    standing = Standing(past=SIX_PINNED)
    if left_out:
        return kept(Race(), count, standing=standing)
    with mock.patch.object(noise_level, "_least_spread", return_value=-1.0):
        return kept(Race(), count, standing=standing)


class Watched(FinalKeeps):
    """The race, remembering the noise that it went by last."""

    def __init__(self) -> None:
        self.race = Race()
        self.incumbent_runs = self.race.incumbent_runs
        self.squares = self.degrees = 0.0

    def next_step(self, evidence: KeepEvidence) -> Step:
        level = from_evidence(evidence)
        if level is not None:
            self.squares, self.degrees = level.sd**2 * level.df, level.df
        return self.race.next_step(evidence)


class ScreeningInTheSd(Standing):
    """As if the trial that a candidate was screened by were a confirmatory one."""

    def discarded(self, candidate: Sequence[float]) -> Standing:
        return super().discarded((0.0, *candidate))


def variance(count: int, standing: Standing) -> tuple[float, float]:
    """Within configurations, with its standard error, over nights of 100 trials without effects; the truth is 1.

    By the sums and not by the nights: a night that underestimates its noise races more and so corrects itself,
    one that overestimates it does not, and the mean over nights is on the safe side, 1.18.
    """
    sums = []
    for index in range(max(40, count // 20)):
        rule = Watched()
        simulate(rule, np.zeros(120), np.random.default_rng((8, index)).normal(size=100), standing)
        sums.append((rule.squares, rule.degrees))
    squares, degrees = (np.array(each) for each in zip(*sums, strict=True))
    value = float(squares.sum() / degrees.sum())
    return value, float(np.std(squares - value * degrees)) * math.sqrt(len(sums)) / float(degrees.sum())


@lru_cache(maxsize=1)
def null_nights_with_a_keep(count: int) -> list[Night]:
    """Of the race as it was, which compares with the baseline's first four trials again and again."""
    return [night for night in nights(EarlierRace(), "null 100", count, seed=5) if night.keeps]


def certified(count: int, reuse_baseline: bool) -> tuple[float, float]:
    """Share of certificates that pass although nothing was gained. The sd of these nights is 5."""
    done, rng, passes = null_nights_with_a_keep(count), np.random.default_rng(6), 0
    for night in done:
        head, fresh = 5 * rng.normal(size=5), 5 * rng.normal(size=5)
        baseline = list(night.baseline_losses) if reuse_baseline else fresh.tolist()
        passes += certify(head.tolist(), baseline).passed
    return _share(passes, len(done))


FIGURES: dict[str, Figure] = {
    "variance": Figure(
        1.0, "within 3 %", "variance without screening trials", lambda n: variance(n, Standing())
    ),
    "variance, screening": Figure(
        1.36, "1.36", "variance with screening trials in it", lambda n: variance(n, ScreeningInTheSd())
    ),
    "A/A": Figure(0.018, "1.8 %", "kept by the race, no effect", lambda n: kept(Race(), n)),
    "A/A, strict": Figure(0.003, "0.3 %", "the same at alpha .01", lambda n: kept(Race(alpha=0.01), n)),
    "pinned, left out": Figure(
        0.015, "1.5 %", "three seedless configurations in the pool", lambda n: pinned(n, left_out=True)
    ),
    "pinned, counted": Figure(
        0.047, "4.7 %", "the same, were they counted", lambda n: pinned(n, left_out=False)
    ),
    "spread x3": Figure(
        0.05, "5 %", "kept by the race, three times the spread", lambda n: kept(Race(), n, 3.0)
    ),
    "spread x10": Figure(0.10, "10 %", "ten times the spread", lambda n: kept(Race(), n, 10.0)),
    "spread x3, one sd": Figure(0.12, "12 %", "by the race before", lambda n: kept(EarlierRace(), n, 3.0)),
    "certificate": Figure(0.023, "2.3 %", "of nothing, fresh trials", lambda n: certified(n, False)),
    "certificate, reused": Figure(
        0.066, "6.6 %", "the search's baseline trials", lambda n: certified(n, True)
    ),
    "spread x10, one sd": Figure(0.31, "31 %", "by the race before", lambda n: kept(EarlierRace(), n, 10.0)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Single figures of docs/statistics.md")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    chosen, off = parser.parse_args(), 0
    for name in chosen.only:
        figure = FIGURES[name]
        value, error = figure.play(chosen.count)
        far = abs(value - figure.stated) > 4 * error + 0.03 * figure.stated
        off += far
        word = "FAR  " if far else ""
        print(f"{figure.written:<11} {value:.4f} ± {error:.4f}  {word}{name}: {figure.about}", flush=True)
    return int(off > 0)


if __name__ == "__main__":
    sys.exit(main())
