"""Synthetic sessions that drive the keep rules of `harness.keep` themselves, not a copy.

Losses are in units of 1e-4 of the metric; effects are positive where a proposal improves. A slot is one trial,
whoever is run in it. The distributions of effects were fitted to a published night of 122 proposals.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.keep.noise_level import mean
from harness.keep.standing import Standing
from harness.protocols import KeepRule
from harness.records import Action

Array = NDArray[np.float64]
SD = 5.0  # of one trial, as in the published night at most


class Mixture(NamedTuple):
    """Shares of improvements and of no-ops, mean sizes of improvements and of harm; both have a heavy tail."""

    improves: float
    nothing: float
    gain: float
    harm: float

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        side, size, tail = rng.random(count), rng.exponential(1, count), rng.random(count)
        gains = size * np.where(tail < 0.15, 6 * self.gain, self.gain)
        harms = -size * np.where(tail < 0.20, 4 * self.harm, self.harm)
        return np.where(
            side < self.improves, gains, np.where(side > self.improves + self.nothing, harms, 0.0)
        )


EARLY, LATE_FIT = Mixture(0.70, 0.10, 8.0, 6.0), Mixture(0.30, 0.12, 1.4, 9.0)
SCENARIOS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    # twelve early proposals with big wins, then the fit to the rest of the night
    "mar8": lambda rng, n: np.concatenate([EARLY.draw(rng, 12), LATE_FIT.draw(rng, n - 12)]),
    "all": Mixture(0.30, 0.32, 4.2, 11.0).draw,  # stationary fit to the whole night
    "late": Mixture(0.38, 0.09, 1.1, 10.0).draw,  # many tiny improvements
    "sparse": Mixture(0.08, 0.52, 5.0, 8.0).draw,  # few real ones, many no-ops
    "null": lambda _rng, n: np.zeros(n),  # A/A: every proposal is a no-op
}


@dataclass(slots=True)
class Night:
    """What a session did. gain: true improvement of its head; claimed: what its own losses say."""

    gain: float = 0.0
    claimed: float = 0.0
    keeps: list[float] = field(default_factory=list)  # their true effects
    decisions: int = 0
    baseline_losses: tuple[float, ...] = ()

    @property
    def false_keeps(self) -> int:
        return sum(effect <= 1e-9 for effect in self.keeps)


def simulate(
    rule: KeepRule, effects: Array, noise: Array, standing: Standing | None = None, one_decision: bool = False
) -> Night:
    """One session: a slot for each element of `noise`, proposals in the order of `effects`."""
    night, standing, candidate, slot = Night(), standing or Standing(), (), 0
    while not (one_decision and night.decisions):
        step = rule.next_step(standing.evidence(candidate))
        if slot == len(noise) and step.action in (Action.RUN_CANDIDATE, Action.RUN_INCUMBENT):
            break
        effect = float(effects[night.decisions])
        if step.action is Action.RUN_INCUMBENT:
            standing = standing.with_incumbent(float(noise[slot]) - night.gain)
            slot += 1
        elif step.action is Action.RUN_CANDIDATE:
            if not night.baseline_losses:
                night.baseline_losses = standing.incumbent
            candidate = (*candidate, float(noise[slot]) - night.gain - effect)
            slot += 1
        else:
            night.decisions += 1
            if step.action is Action.KEEP:
                standing = standing.kept(candidate)
                night.gain += effect
                night.keeps.append(effect)
            else:
                standing = standing.discarded(candidate)
            candidate = ()
    if night.baseline_losses:
        night.claimed = mean(night.baseline_losses) - mean(standing.incumbent)
    return night


def nights(
    rule: KeepRule, scenario: str, slots: int, count: int, seed: int = 1, sd: float = SD
) -> list[Night]:
    """`count` sessions; the same seed gives every rule the same proposals and the same noise."""
    result = []
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        effects = SCENARIOS[scenario](rng, slots + 20)
        result.append(simulate(rule, effects, sd * rng.normal(size=slots)))
    return result


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over nights and its Monte Carlo error."""

    value: float
    error: float


def estimate(values: list[float]) -> Estimate:
    return Estimate(float(np.mean(values)), float(np.std(values)) / math.sqrt(len(values)))


def summary(done: list[Night], slots: int) -> dict[str, Estimate]:
    """The figures of the table for one rule and one scenario."""
    decisions = estimate([float(night.decisions) for night in done])
    return {
        "gain": estimate([night.gain for night in done]),
        "keeps": estimate([float(len(night.keeps)) for night in done]),
        "false_share": estimate([night.false_keeps / max(1, len(night.keeps)) for night in done]),
        "any_false": estimate([float(night.false_keeps > 0) for night in done]),
        "over_claim": estimate([night.claimed - night.gain for night in done]),
        "slots_per_decision": Estimate(slots / decisions.value, slots / decisions.value**2 * decisions.error),
    }
