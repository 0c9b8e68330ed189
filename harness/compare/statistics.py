"""Is one arm better than another? From a few independent sessions each; says no more than they tell. Pure.

The decision is fixed beforehand: Welch's t test on certified gains, stratified by task, Holm's correction over
all pairs of arms, 5 % in all. It must hold with one more session in every arm and task, UNSEEN spreads away from the
mean on the side that speaks against it: gains are skewed and differ in spread between arms, and what a rare
large gain would have added is not among three or ten sessions. Without that, such sweeps of equal arms are called
wrongly in 10 to 15 %, with Welch's test, permutations and the bootstrap's t alike.

Sessions of one repeat number are shown as pairs, too, but they share nothing
but the hour of the day, so pairing would cost degrees of freedom and win nothing.
"""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.keep.two_samples import satterthwaite

ALPHA = 0.05
POWER = 0.8
MOST_REPEATS = 1000
# Calls <= 5 % of sweeps of lognormal gains with three times the spread (scripts/simulate_compare.py).
UNSEEN = 2.8


@dataclass(frozen=True, slots=True)
class Gain:
    """A session's certified gain. error: the certificate's own standard error, 0 where nothing was measured."""

    value: float
    error: float = 0.0
    task: str = ""
    repeat: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over sessions (tasks count equally). low, high: 95 % interval; None for a single session of a task, and
    where fewer than two sessions gained anything: then nobody can tell.
    """

    mean: float
    low: float | None
    high: float | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Difference:
    """First arm minus second. p: two-sided, p_holm: corrected for all pairs; None where nothing can be told.

    low, high: 95 % interval, which covers what one unseen session an arm and task might add on either side.

    verdict: "better" (the first), "worse" or "cannot tell". repeats: sessions an arm that would tell with 80 %
    probability if the difference is as it looks; None if even a thousand would not, or nothing is known.
    beats: probability that a session of the first arm ends higher than one of the second, with its interval.
    paired: mean over pairs of equal task and repeat, with its interval, None for fewer than two.
    """

    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    verdict: str
    repeats: int | None
    beats: tuple[float, float, float]
    paired: Estimate | None


def estimate(gains: Sequence[Gain]) -> Estimate:
    """Mean and interval of one arm. Raises ValueError without a session."""
    if not gains:
        raise ValueError("an arm without sessions has no mean")
    strata = _by_task(gains)
    mean = sum(_mean(stratum) for stratum in strata.values()) / len(strata)
    spread = _variance([list(stratum) for stratum in strata.values()])
    if spread is None or any(_mostly_nothing(stratum) for stratum in strata.values()):
        return Estimate(mean, None, None, len(gains))
    variance, df = spread
    half = _t_quantile(df, 0.975) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half, len(gains))


def _mostly_nothing(gains: Sequence[Gain]) -> bool:
    """Fewer than two sessions gained anything: their spread says nothing about what such sessions may gain."""
    return any(gain.value == 0 for gain in gains) and sum(gain.value != 0 for gain in gains) < 2


def differences(arms: Mapping[str, Sequence[Gain]]) -> list[Difference]:
    """Every pair of arms, the surest first."""
    raw = [_raw(first, second, arms) for first, second in itertools.combinations(arms, 2)]
    corrected = holm([pair.p for pair in raw])
    pairs = len(raw)
    found = [_decided(pair, p, arms, pairs) for pair, p in zip(raw, corrected, strict=True)]
    return sorted(found, key=lambda pair: (2.0 if pair.p is None else pair.p, pair.first, pair.second))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down corrected p-values; None stays None but counts as a comparison that was made."""
    order = sorted(range(len(p_values)), key=lambda i: 2.0 if p_values[i] is None else p_values[i] or 0.0)
    found: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        p = p_values[index]
        if p is not None:
            highest = max(highest, min(1.0, (len(p_values) - rank) * p))
            found[index] = highest
    return found


@dataclass(frozen=True, slots=True)
class _Raw:
    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class _Contrast:
    """A difference of means, its variance and the degrees of freedom of that."""

    mean: float
    variance: float
    df: float

    @property
    def p(self) -> float:
        return 2 * _t_tail(self.df, abs(self.mean) / math.sqrt(self.variance))

    @property
    def half(self) -> float:
        return _t_quantile(self.df, 0.975) * math.sqrt(self.variance)


def _raw(first: str, second: str, arms: Mapping[str, Sequence[Gain]]) -> _Raw:
    ours, theirs = _by_task(arms[first]), _by_task(arms[second])
    pairs = [(ours[task], theirs[task]) for task in ours if task in theirs]
    if not pairs:
        return _Raw(first, second, 0.0, None, None, None)
    seen = _contrast(pairs)
    if seen is None:
        return _Raw(first, second, _mean_difference(pairs), None, None, None)
    down, up = (_contrast([_one_more(pair, side) for pair in pairs]) for side in (-1, 1))
    assert down
    assert up
    against = down if seen.mean > 0 else up
    p = 1.0 if against.mean * seen.mean <= 0 else max(seen.p, against.p)
    low = min(seen.mean - seen.half, down.mean - down.half)
    return _Raw(first, second, seen.mean, low, max(seen.mean + seen.half, up.mean + up.half), p)


def _one_more(pair: tuple[list[Gain], list[Gain]], side: int) -> tuple[list[Gain], list[Gain]]:
    """The pair with one unseen session in either arm, which move their difference to that side (-1, 1)."""
    ours, theirs = pair
    return [*ours, _unseen(ours, side)], [*theirs, _unseen(theirs, -side)]


def _unseen(group: Sequence[Gain], side: int) -> Gain:
    error = math.sqrt(sum(gain.error**2 for gain in group) / len(group))
    return Gain(_mean(group) + side * UNSEEN * math.sqrt(_spread(group)), error, group[0].task)


def _mean_difference(pairs: Sequence[tuple[list[Gain], list[Gain]]]) -> float:
    return sum(_mean(ours) - _mean(theirs) for ours, theirs in pairs) / len(pairs)


def _contrast(pairs: Sequence[tuple[list[Gain], list[Gain]]]) -> _Contrast | None:
    """First minus second over tasks that count equally; None without a spread to judge it by."""
    spread = _variance([group for pair in pairs for group in pair], len(pairs))
    return _Contrast(_mean_difference(pairs), *spread) if spread and spread[0] > 0 else None


def _decided(raw: _Raw, p_holm: float | None, arms: Mapping[str, Sequence[Gain]], pairs: int) -> Difference:
    sure = p_holm is not None and p_holm < ALPHA
    verdict = ("better" if raw.mean > 0 else "worse") if sure else "cannot tell"
    repeats = None if sure else repeats_needed(arms[raw.first], arms[raw.second], ALPHA / max(1, pairs))
    return Difference(
        raw.first, raw.second, raw.mean, raw.low, raw.high, raw.p, p_holm, verdict, repeats,
        beats(arms[raw.first], arms[raw.second]), paired(arms[raw.first], arms[raw.second]),
    )  # fmt: skip


def _variance(groups: Sequence[Sequence[Gain]], divisor: int | None = None) -> tuple[float, float] | None:
    """Variance of a mean of group means, and Satterthwaite's degrees of freedom; None when a group is single."""
    if any(len(group) < 2 for group in groups):
        return None
    weight = 1 / (divisor or len(groups)) ** 2
    parts = [weight * _spread(group) / len(group) for group in groups]
    total = sum(parts)
    if total == 0:
        return 0.0, float(len(groups))
    return total, satterthwaite(parts, [len(group) - 1 for group in groups])


def repeats_needed(first: Sequence[Gain], second: Sequence[Gain], alpha: float) -> int | None:
    """Sessions an arm and task for 80 % power at the difference and the spread that were seen.

    More than there are now: these do not tell at this level.
    """
    ours, theirs = _by_task(first), _by_task(second)
    pairs = [(ours[task], theirs[task]) for task in ours if task in theirs]
    groups = [group for pair in pairs for group in pair]
    if not pairs or any(len(group) < 2 for group in groups):
        return None
    effect = abs(_mean_difference(pairs))
    parts = [_spread(group) / len(pairs) ** 2 for group in groups]
    if effect == 0 or sum(parts) == 0:
        return None

    def tells(n: int) -> bool:
        return _power_with_one_unseen(effect, parts, n, alpha) >= POWER

    if not tells(MOST_REPEATS):
        return None
    now = min(len(group) for group in groups)
    return max(now + 1, bisect.bisect_left(range(2, MOST_REPEATS + 1), True, key=tells) + 2)


def _power_with_one_unseen(effect: float, parts: Sequence[float], n: int, alpha: float) -> float:
    """Of the decision with n sessions in each group, in the mean. parts: each group's share of the variance."""
    shifted = (n * effect - UNSEEN * sum(math.sqrt(part) for part in parts)) / (n + 1)
    if shifted <= 0:
        return 0.0
    spread = sum(parts) * (n - 1 + UNSEEN**2 * n / (n + 1)) / n
    sure = power(shifted, spread / (n + 1), satterthwaite(parts, [n] * len(parts)), alpha)
    return min(sure, power(effect, sum(parts) / n, satterthwaite(parts, [n - 1] * len(parts)), alpha))


def power(effect: float, variance: float, df: float, alpha: float) -> float:
    """Of a two-sided t test."""
    from scipy.special import nctdtr

    bound = _t_quantile(df, 1 - alpha / 2)
    return 1 - float(nctdtr(df, effect / math.sqrt(variance), bound))


def _spread(group: Sequence[Gain]) -> float:
    """Variance between sessions; never taken for smaller than what the certificates alone give."""
    mean = _mean(group)
    found = sum((gain.value - mean) ** 2 for gain in group) / (len(group) - 1)
    return max(found, sum(gain.error**2 for gain in group) / len(group))


def beats(first: Sequence[Gain], second: Sequence[Gain]) -> tuple[float, float, float]:
    """P(first > second) + P(equal) / 2 within tasks, with Newcombe's 95 % interval (his method 5)."""
    ours, theirs = _by_task(first), _by_task(second)
    shares = [
        sum((a.value > b.value) + (a.value == b.value) / 2 for a in ours[task] for b in theirs[task])
        / (len(ours[task]) * len(theirs[task]))
        for task in ours
        if task in theirs
    ]
    if not shares:
        return 0.5, 0.0, 1.0
    share = sum(shares) / len(shares)
    return share, _newcombe(share, len(first), len(second), -1), _newcombe(share, len(first), len(second), 1)


def _newcombe(share: float, m: int, n: int, side: int) -> float:
    """The bound on that side: where the observed share is 1.96 standard errors away."""

    def away(theta: float) -> float:
        more = (m + n) / 2 - 1
        factor = 1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(share - theta) - 1.959964 * math.sqrt(theta * (1 - theta) * factor / (m * n))

    inside, outside = share, (1.0 if side > 0 else 0.0)
    if away(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if away(middle) <= 0 else (inside, middle)
    return inside


def paired(first: Sequence[Gain], second: Sequence[Gain]) -> Estimate | None:
    """Differences between sessions of equal task and repeat."""
    theirs = {(gain.task, gain.repeat): gain for gain in second}
    found = [
        Gain(
            gain.value - theirs[key].value, math.hypot(gain.error, theirs[key].error), gain.task, gain.repeat
        )
        for gain in first
        if (key := (gain.task, gain.repeat)) in theirs
    ]
    return estimate(found) if len(found) > 1 else None


def _by_task(gains: Sequence[Gain]) -> dict[str, list[Gain]]:
    found: dict[str, list[Gain]] = {}
    for gain in gains:
        found.setdefault(gain.task, []).append(gain)
    return found


def _mean(gains: Sequence[Gain]) -> float:
    return sum(gain.value for gain in gains) / len(gains)


def _t_quantile(df: float, probability: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def _t_tail(df: float, t: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(df, -t))
