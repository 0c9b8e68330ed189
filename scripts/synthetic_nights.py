"""Synthetic sessions that drive the keep rules of `harness.keep` themselves, not a copy.

What proposals are worth and how trials scatter is read from a file (synthetic_nights.json is the default):

    {"sd": 5.0,                          of one trial, in the unit of the effects
     "nights": {"my night": {"slots": 100, "effects": [...]}},
     "conditions": {"my machine": {...}}}

A slot is one trial, whoever is run in it. *effects*: either numbers, which are drawn from with replacement
({"effects": [0.3, -2.0, ...]}; with "in_order": true beside it they come as they stand, then again), or parts of a
night, each with the shares of proposals that are an improvement and that do nothing, and the mean sizes of gain and
harm, both with a heavy tail; "proposals" says how many the part has, the last one needs none. Positive is better.

*conditions* (all optional, all sizes in sd): degrees: of a t distribution scaled to variance 1; residuals: numbers
that the noise is drawn from in runs of `residual_block` consecutive ones; autoregression: of slot on slot;
diverging, diverging_sd: share of trials that end so much worse; seed_share: of the variance that belongs to the
seed, the same for every program; spread, spread_share: factor on the noise of so many proposals (default: all);
drift: from first to last slot, positive: losses rise; step: at a random slot in the middle three fifths;
stored_sd: what an earlier session stored, as a factor on the truth, with 30 degrees of freedom.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.keep.noise_level import mean
from harness.keep.standing import Standing
from harness.protocols import KeepRule
from harness.records import Action, Step

Array = NDArray[np.float64]
DEFAULT = Path(__file__).with_suffix(".json")
STORED_DEGREES = 30


class Mixture(NamedTuple):
    """Shares of improvements and of no-ops, mean sizes of improvements and of harm; both have a heavy tail."""

    improves: float
    nothing: float
    gain: float
    harm: float
    proposals: int | None = None

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        side, size, tail = rng.random(count), rng.exponential(1, count), rng.random(count)
        gains = size * np.where(tail < 0.15, 6 * self.gain, self.gain)
        harms = -size * np.where(tail < 0.20, 4 * self.harm, self.harm)
        return np.where(
            side < self.improves, gains, np.where(side > self.improves + self.nothing, harms, 0.0)
        )


@dataclass(frozen=True, slots=True)
class Effects:
    """What the proposals of a night are worth."""

    slots: int
    parts: tuple[Mixture, ...] = ()
    values: tuple[float, ...] = ()
    in_order: bool = False

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        if self.values and self.in_order:
            return np.resize(np.array(self.values), count)
        if self.values:
            return rng.choice(np.array(self.values), count)
        drawn: list[Array] = []
        left = count
        for part in self.parts:
            size = left if part.proposals is None else min(left, part.proposals)
            drawn.append(part.draw(rng, size))
            left -= size
        return np.concatenate(drawn)

    @property
    def nothing_helps(self) -> bool:
        return all(value <= 0 for value in self.values) and all(part.improves == 0 for part in self.parts)


@dataclass(frozen=True, slots=True)
class Conditions:
    """How trials scatter; fields as in the file."""

    degrees: float = math.inf
    residuals: tuple[float, ...] = ()
    residual_block: int = 1
    autoregression: float = 0.0
    diverging: float = 0.0
    diverging_sd: float = 20.0
    seed_share: float = 0.0
    spread: float = 1.0
    spread_share: float = 1.0
    drift: float = 0.0
    step: float = 0.0
    stored_sd: float | None = None

    def noise(self, rng: np.random.Generator, slots: int) -> Array:
        """Of one program over the slots, in sd."""
        drawn = self._independent(rng, slots)
        kept, new = self.autoregression, math.sqrt(1 - self.autoregression**2)
        if kept:
            for slot in range(1, slots):
                drawn[slot] = kept * drawn[slot - 1] + new * drawn[slot]
        return drawn + self.diverging_sd * (rng.random(slots) < self.diverging)

    def _independent(self, rng: np.random.Generator, slots: int) -> Array:
        if self.residuals:
            block, values = self.residual_block, np.array(self.residuals)
            starts = rng.integers(0, len(values) - block + 1, -(-slots // block))
            return np.concatenate([values[start : start + block] for start in starts])[:slots]
        if math.isfinite(self.degrees):
            return rng.standard_t(self.degrees, slots) * math.sqrt((self.degrees - 2) / self.degrees)
        return rng.normal(size=slots)

    def machine(self, rng: np.random.Generator, slots: int) -> Array:
        """What the machine adds to every trial of a slot, in sd."""
        since = np.arange(slots) >= slots * rng.uniform(0.2, 0.8)
        return self.drift * np.arange(slots) / slots + self.step * since

    def spreads(self, rng: np.random.Generator, proposals: int) -> Array:
        return np.where(rng.random(proposals) < self.spread_share, self.spread, 1.0)


@dataclass(frozen=True, slots=True)
class World:
    """One night, drawn: everything that a rule cannot influence. Arrays over slots and over proposals."""

    effects: Sequence[float]
    noise: Sequence[float]
    machine: Sequence[float] = ()
    spreads: Sequence[float] = ()
    seed_levels: Sequence[float] = ()

    def loss(self, slot: int, level: float, spread: float, seed_slot: int) -> float:
        """level: true gain of the program. seed_slot: whose seed the trial has."""
        noise = self.noise[slot] + (self.seed_levels[seed_slot] if self.seed_levels else 0.0)
        return spread * noise - level + (self.machine[slot] if self.machine else 0.0)


@dataclass(frozen=True, slots=True)
class Book:
    """The file's content."""

    sd: float
    nights: Mapping[str, Effects]
    conditions: Mapping[str, Conditions]

    def world(self, night: str, condition: str, seed: int, index: int) -> World:
        """The same seed and index give every rule the same proposals, and every condition the same effects."""
        effects, conditions = self.nights[night], self.conditions[condition]
        rng, slots = np.random.default_rng((seed, index)), effects.slots
        drawn = effects.draw(rng, slots + 20)
        noise, share = conditions.noise(rng, slots), conditions.seed_share
        levels = rng.normal(size=slots) * self.sd * math.sqrt(share)
        return World(
            drawn.tolist(),
            (self.sd * math.sqrt(1 - share) * noise).tolist(),
            (self.sd * conditions.machine(rng, slots)).tolist(),
            conditions.spreads(rng, slots + 20).tolist(),
            levels.tolist() if share else (),
        )

    def standing(self, condition: str) -> Standing:
        factor = self.conditions[condition].stored_sd
        return Standing(prior_sd=factor * self.sd, prior_df=STORED_DEGREES) if factor else Standing()


def read(path: Path = DEFAULT) -> Book:
    """Raises ValueError with one line that says what is wrong with the file, and where."""
    try:
        content = json.loads(path.read_text())
        about = _mapping(content, "the file", {"sd", "nights", "conditions"})
        named = {part: _mapping(about.get(part), f"{part}") for part in ("nights", "conditions")}
        if empty := [part for part, found in named.items() if not found]:
            raise ValueError(f"{empty[0]} holds nothing to play")
        sd = _number(about, "the file", "sd", least=1e-300)
        nights = {name: _effects(night, f"night {name!r}") for name, night in named["nights"].items()}
        conditions = {
            name: _conditions(each, f"condition {name!r}") for name, each in named["conditions"].items()
        }
        return Book(sd, nights, conditions)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


_LEAST_SLOTS = 10  # the baseline takes four
_MOST_SLOTS = 100_000
_MIXTURE = {"improves": 1.0, "nothing": 1.0, "gain": 1e100, "harm": 1e100}  # the largest that each can be
_BOUNDS = {  # of a condition: the smallest and the largest that each can be
    "degrees": (2.0001, math.inf),
    "residual_block": (1, math.inf),
    "autoregression": (0.0, 0.9999),
    "diverging": (0.0, 1.0),
    "diverging_sd": (0.0, 1e100),
    "seed_share": (0.0, 1.0),
    "spread": (0.0, 1e100),
    "spread_share": (0.0, 1.0),
    "drift": (-1e100, 1e100),
    "step": (-1e100, 1e100),
    "stored_sd": (1e-100, 1e100),
}


def _effects(given: Any, where: str) -> Effects:
    about = _mapping(given, where, {"slots", "effects", "in_order"})
    slots = int(_number(about, where, "slots", _LEAST_SLOTS, _MOST_SLOTS))
    effects, in_order = about.get("effects"), about.get("in_order", False)
    if not isinstance(effects, list) or not effects or not isinstance(in_order, bool):
        raise ValueError(f"{where}: effects is a list of numbers or of parts, in_order is true or false")
    if not any(isinstance(part, dict) for part in effects):
        return Effects(slots, values=_numbers(effects, f"{where}: effects"), in_order=in_order)
    parts = tuple(_mixture(part, f"{where}: part {place}") for place, part in enumerate(effects, start=1))
    if parts[-1].proposals is not None or any(part.proposals is None for part in parts[:-1]):
        raise ValueError(f"{where}: every part but the last has a number of proposals, and the last has none")
    return Effects(slots, parts)


def _mixture(given: Any, where: str) -> Mixture:
    about = _mapping(given, where, {*_MIXTURE, "proposals"})
    values = {name: _number(about, where, name, 0.0, most) for name, most in _MIXTURE.items()}
    if values["improves"] + values["nothing"] > 1:
        raise ValueError(f"{where}: improves and nothing are shares and together at most 1")
    count = int(_number(about, where, "proposals", 1, _MOST_SLOTS)) if "proposals" in about else None
    return Mixture(**values, proposals=count)


def _conditions(given: Any, where: str) -> Conditions:
    about = _mapping(given, where, {*_BOUNDS, "residuals"})
    values: dict[str, Any] = {
        name: _number(about, where, name, *bounds) for name, bounds in _BOUNDS.items() if name in about
    }
    residuals = _numbers(about.get("residuals", []), f"{where}: residuals")
    block = int(values.pop("residual_block", 1))
    if block > max(1, len(residuals)):
        raise ValueError(f"{where}: residual_block is {block}, and there are {len(residuals)} residuals")
    return Conditions(**values, residuals=residuals, residual_block=block)


def _mapping(given: Any, where: str, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be an object {{...}}")
    if known and (unknown := sorted(given.keys() - known)):
        raise ValueError(f"{where} has {unknown[0]!r}; it may have {', '.join(sorted(known))}")
    return given


def _number(
    about: Mapping[str, Any], where: str, name: str, least: float = -math.inf, most: float = 1e100
) -> float:
    value = about.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        shown = "missing" if name not in about else f"{value!r:.40}"
        raise ValueError(f"{where}: {name} is {shown}; it is a number from {least:g} to {most:g}")
    return float(value)


def _numbers(given: Any, where: str) -> tuple[float, ...]:
    if not isinstance(given, list):
        raise ValueError(f"{where} must be a list of numbers")
    return tuple(_number({str(place): value}, where, str(place), -1e100) for place, value in enumerate(given))


@dataclass(slots=True)
class Night:
    """What a session did. gain: true improvement of what it ends with; claimed: what its own losses say.

    keeps, steps: their true effects; rolled_back: provisional keeps that were taken back. A rule whose keeps are
    final makes a step with each.
    """

    gain: float = 0.0
    claimed: float = 0.0
    keeps: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    rolled_back: int = 0
    decisions: int = 0
    baseline_losses: tuple[float, ...] = ()

    @property
    def false_keeps(self) -> int:
        return sum(effect <= 1e-9 for effect in self.keeps)

    @property
    def false_steps(self) -> int:
        return sum(effect <= 1e-9 for effect in self.steps)


def simulate(
    rule: KeepRule,
    effects: Sequence[float] | Array,
    noise: Sequence[float] | Array,
    standing: Standing | None = None,
    one_decision: bool = False,
) -> Night:
    """One session: a slot for each element of `noise`, proposals in the order of `effects`."""
    return Simulation(rule, World(list(effects), list(noise)), standing or Standing()).run(one_decision)


class Simulation:
    """What Session, Referee and State do with a rule, on numbers alone."""

    def __init__(self, rule: KeepRule, world: World, standing: Standing) -> None:
        self.rule, self.world, self.standing, self.night = rule, world, standing, Night()
        self.slot = self.seed_slot = 0
        self.head = self.certified = (0.0, 1.0)  # true gain, spread
        self.candidate: tuple[float, ...] = ()

    def run(self, one_decision: bool = False) -> Night:
        night = self.night
        while not (one_decision and night.decisions) and (self._between() and self._decide()):
            pass
        night.gain = self.certified[0] if self.rule.settling_trials else self.head[0]
        if night.baseline_losses:
            night.claimed = mean(night.baseline_losses) - mean(self.standing.incumbent.losses)
        return night

    @property
    def _left(self) -> int:
        return len(self.world.noise) - self.slot

    def _trial(self, level: float, spread: float) -> float:
        loss = self.world.loss(self.slot, level, spread, self.seed_slot)
        self.slot += 1
        self.seed_slot = self.slot
        return loss

    def _between(self) -> bool:
        """Everything before the next proposal; False when the slots are over."""
        while True:
            reserved = self.rule.settling_trials if self.standing.provisional else 0
            step = self.rule.between(self.standing.evidence(ending=0 < self._left <= reserved))
            if step.action is Action.PROPOSE:
                return self._left > 0
            if step.action in (Action.CERTIFY, Action.ROLL_BACK):
                self._settle(step.action is Action.CERTIFY)
            elif not self._left:
                return False
            elif step.action is Action.RUN_CERTIFIED:
                self.standing = self.standing.with_certified(self._trial(*self.certified))
            elif step.action is Action.RUN_HEAD:
                self.standing = self.standing.with_head(self._trial(*self.head))
            else:
                self.standing = self.standing.with_incumbent(self._trial(*self.head))

    def _settle(self, certify: bool) -> None:
        if certify:
            self.night.steps.append(self.head[0] - self.certified[0])
            self.certified = self.head
        else:
            self.night.rolled_back += self.standing.provisional
            self.head = self.certified
        self.standing = self.standing.settled(certify)

    def _decide(self) -> bool:
        """One proposal; False when the slots are over before its decision."""
        night, world = self.night, self.world
        effect = world.effects[night.decisions]
        spread = world.spreads[night.decisions] if world.spreads else 1.0
        while True:
            step = self.rule.next_step(self.standing.evidence(self.candidate))
            if step.action in (Action.KEEP, Action.DISCARD):
                break
            if not self._left:
                return False
            if step.action is Action.RUN_INCUMBENT:
                beside, paired = bool(self.candidate), getattr(self.rule, "same_seed", False)
                self.standing = self.standing.with_incumbent(self._trial(*self.head), beside or paired)
                self.seed_slot -= paired  # the candidate's next trial has the same seed
            else:
                if not night.baseline_losses:
                    night.baseline_losses = self.standing.incumbent.losses
                loss = self._trial(self.head[0] + effect, spread)
                self.candidate = (*self.candidate, loss)
        self._decided(step, effect, spread)
        return True

    def _decided(self, step: Step, effect: float, spread: float) -> None:
        night, provisional = self.night, self.rule.settling_trials > 0
        night.decisions += 1
        if step.action is Action.KEEP:
            self.standing = self.standing.kept(self.candidate, provisional=provisional)
            self.head = (self.head[0] + effect, spread)
            night.keeps.append(effect)
            if not provisional:
                night.steps.append(effect)
        else:
            self.standing = self.standing.discarded(self.candidate)
        self.candidate = ()


def nights(
    rule: KeepRule,
    night: str,
    count: int,
    seed: int = 1,
    condition: str = "Gaussian",
    book: Book | None = None,
) -> list[Night]:
    """`count` sessions; the same seed gives every rule the same proposals and the same noise."""
    book = book or read()
    return [
        Simulation(rule, book.world(night, condition, seed, index), book.standing(condition)).run()
        for index in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over nights and its Monte Carlo error."""

    value: float
    error: float


def estimate(values: Sequence[float]) -> Estimate:
    return Estimate(float(np.mean(values)), float(np.std(values)) / math.sqrt(len(values)))


def share(parts: Sequence[int], wholes: Sequence[int]) -> Estimate:
    """Of all keeps or steps of all nights; its error from the spread between nights. 0 where there are none."""
    total = sum(wholes)
    if not total:
        return Estimate(0.0, 0.0)
    found = sum(parts) / total
    off = [part - found * whole for part, whole in zip(parts, wholes, strict=True)]
    return Estimate(found, float(np.std(off)) * math.sqrt(len(off)) / total)


def summary(done: Sequence[Night], slots: int) -> dict[str, Estimate]:
    """The figures of the table for one rule, kind of night and condition."""
    decisions = estimate([float(night.decisions) for night in done])
    keeps, steps = [len(night.keeps) for night in done], [len(night.steps) for night in done]
    return {
        "gain": estimate([night.gain for night in done]),
        "keeps": estimate([float(count) for count in keeps]),
        "false_keeps": share([night.false_keeps for night in done], keeps),
        "any_false": estimate([float(night.false_keeps > 0) for night in done]),
        "steps": estimate([float(count) for count in steps]),
        "false_steps": share([night.false_steps for night in done], steps),
        "any_step": estimate([float(count > 0) for count in steps]),
        "rolled_back": estimate([float(night.rolled_back) for night in done]),
        "over_claim": estimate([night.claimed - night.gain for night in done]),
        "slots_per_decision": _slots_per(decisions, slots),
    }


def _slots_per(decisions: Estimate, slots: int) -> Estimate:
    """Not a number for a rule that came to no decision at all in so few slots."""
    if not decisions.value:
        return Estimate(math.nan, math.nan)
    return Estimate(slots / decisions.value, slots / decisions.value**2 * decisions.error)
