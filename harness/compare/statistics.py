"""Is one arm better than another? From a few independent sessions each; says no more than they tell. Pure.

The decision is fixed beforehand: Welch's t test on certified gains, stratified by task, Holm's correction over
all pairs of arms, 5 % in all. Sessions of one repeat number are shown as pairs, too, but they share nothing
but the hour of the day, so pairing would cost degrees of freedom and win nothing.
"""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALPHA = 0.05
POWER = 0.8
MOST_REPEATS = 1000


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
    variance: float
    df: float
    p: float | None


def _raw(first: str, second: str, arms: Mapping[str, Sequence[Gain]]) -> _Raw:
    ours, theirs = _by_task(arms[first]), _by_task(arms[second])
    tasks = [task for task in ours if task in theirs]
    if not tasks:
        return _Raw(first, second, 0.0, 0.0, 0.0, None)
    mean = sum(_mean(ours[task]) - _mean(theirs[task]) for task in tasks) / len(tasks)
    spread = _variance([ours[task] for task in tasks] + [theirs[task] for task in tasks], len(tasks))
    if spread is None or spread[0] == 0:
        return _Raw(first, second, mean, 0.0, 0.0, None)
    variance, df = spread
    p = 2 * _t_tail(df, abs(mean) / math.sqrt(variance))
    return _Raw(first, second, mean, variance, df, p)


def _decided(raw: _Raw, p_holm: float | None, arms: Mapping[str, Sequence[Gain]], pairs: int) -> Difference:
    low = high = None
    if raw.p is not None:
        half = _t_quantile(raw.df, 0.975) * math.sqrt(raw.variance)
        low, high = raw.mean - half, raw.mean + half
    sure = p_holm is not None and p_holm < ALPHA
    verdict = ("better" if raw.mean > 0 else "worse") if sure else "cannot tell"
    repeats = None if sure else repeats_needed(arms[raw.first], arms[raw.second], ALPHA / max(1, pairs))
    return Difference(
        raw.first, raw.second, raw.mean, low, high, raw.p, p_holm, verdict, repeats,
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
    return total, _satterthwaite(parts, [len(group) - 1 for group in groups])


def _satterthwaite(parts: Sequence[float], degrees: Sequence[int]) -> float:
    """Degrees of freedom of a sum of estimated variances (Satterthwaite 1946)."""
    total = sum(parts)  # shares of it, as squares of tiny variances would vanish
    return 1 / sum((part / total) ** 2 / df for part, df in zip(parts, degrees, strict=True))


def repeats_needed(first: Sequence[Gain], second: Sequence[Gain], alpha: float) -> int | None:
    """Sessions an arm and task for 80 % power at the difference and the spread that were seen.

    More than there are now, as long as these do not tell at this level.
    """
    ours, theirs = _by_task(first), _by_task(second)
    tasks = [task for task in ours if task in theirs]
    groups = [ours[task] for task in tasks] + [theirs[task] for task in tasks]
    if not tasks or any(len(group) < 2 for group in groups):
        return None
    effect = abs(sum(_mean(ours[task]) - _mean(theirs[task]) for task in tasks) / len(tasks))
    parts = [_spread(group) / len(tasks) ** 2 for group in groups]
    one = sum(parts)  # variance of the difference at one session each
    if effect == 0 or one == 0:
        return None
    # At two sessions each; it grows with n - 1, as in the test itself.
    df = _satterthwaite(parts, [1] * len(parts))

    def tells(n: int) -> bool:
        return power(effect, one / n, df * (n - 1), alpha) >= POWER

    if not tells(MOST_REPEATS):
        return None
    return bisect.bisect_left(range(2, MOST_REPEATS + 1), True, key=tells) + 2


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
