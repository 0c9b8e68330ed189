"""What a report computes from a session: noise, intervals, counts. Pure; scipy only where a quantile is needed."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.session_record import SessionRecord
from harness.records import Role

TUNING = ("hyperparameter", "hyperparameters", "tuning", "constant", "constants")


@dataclass(frozen=True, slots=True)
class Noise:
    """Pooled sd of scores within configurations, with its degrees of freedom and 95 % interval."""

    sd: float
    df: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Category:
    """Proposals of one class: how many, how many kept, and the gain that the search claims for the keeps."""

    name: str
    proposed: int
    kept: int
    claimed: float


def t_quantile(df: float, probability: float) -> float:
    """Of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def noise(session: SessionRecord) -> Noise | None:
    """None while no configuration has two completed trials. Every candidate's first trial is left out:
    it was selected, or not, for its value. A session that measures noise alone has trials of its own for it."""
    measured = session.losses(session.baseline, Role.NOISE)
    pools = [*session.confirmatory().values(), *([measured] if len(measured) > 1 else [])]
    df = sum(len(values) - 1 for values in pools)
    if df == 0:
        return None
    squares = sum((value - sum(values) / len(values)) ** 2 for values in pools for value in values)
    from scipy.special import chdtri

    return Noise(
        math.sqrt(squares / df),
        df,
        math.sqrt(squares / float(chdtri(df, 0.025))),
        math.sqrt(squares / float(chdtri(df, 0.975))),
    )


def half_width(found: Noise | None, count: int) -> float | None:
    """Half of the 95 % interval of a mean over `count` trials."""
    if found is None or count == 0:
        return None
    return t_quantile(found.df, 0.975) * found.sd / math.sqrt(count)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean and 95 % interval from the values' own spread; None for fewer than two."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = t_quantile(len(values) - 1, 0.975) * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def claimed_gain(session: SessionRecord) -> float | None:
    """What the search's own scores say: incumbent against baseline, on val."""
    if session.certificate is not None and session.certificate.claimed is not None:
        return session.certificate.claimed
    baseline, incumbent = session.baseline_score, session.incumbent_score
    return None if baseline is None or incumbent is None else session.sign * (incumbent - baseline)


def step_gain(session: SessionRecord, keep: ProposalRecord) -> float:
    """Gain that the search claims for one keep over the incumbent of its day."""
    if keep.score is None or keep.ruling.incumbent_score is None:
        return 0.0
    return session.sign * (keep.score - keep.ruling.incumbent_score)


def categories(session: SessionRecord) -> list[Category]:
    """By class, the one with the largest claimed gain first."""
    found: dict[str, list[ProposalRecord]] = {}
    for proposal in session.decided:
        found.setdefault(proposal.ruling.category or "not classified", []).append(proposal)
    rows = [
        Category(
            name,
            len(members),
            sum(member.kept for member in members),
            sum(step_gain(session, member) for member in members if member.kept),
        )
        for name, members in found.items()
    ]
    return sorted(rows, key=lambda row: (-row.claimed, -row.kept, -row.proposed, row.name))


def is_tuning(category: str) -> bool:
    """Whether the class only changes numbers."""
    return category.lower() in TUNING


def rejections(session: SessionRecord) -> list[tuple[str, str, int]]:
    """(guard, "statistics", "trial", "agent" or "cannot tell"; reason; count) of discarded proposals, most frequent
    first.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for proposal in session.decided:
        if not proposal.kept:
            verdict = proposal.rejection
            guard = verdict.guard if verdict else proposal.decided_by.value
            guard = "cannot tell" if proposal.untold else guard
            reason = (verdict.reason if verdict else "") or proposal.reason
            counts[guard, reason or "not said"] += 1
    return [(guard, reason, count) for (guard, reason), count in counts.most_common()]


def seconds_by_role(session: SessionRecord) -> dict[str, tuple[int, float]]:
    """Role -> (trials, seconds that they held the machine)."""
    return {
        role.value: (len(trials), session.seconds_by_role.get(role, 0.0))
        for role, trials in session.trials_by_role.items()
        if trials
    }


def tuning_share(session: SessionRecord) -> float | None:
    """Share of the claimed gain of all keeps that changes of numbers made; None without a keep."""
    found = [row for row in categories(session) if row.kept]
    total = sum(max(0.0, row.claimed) for row in found)
    tuned = sum(max(0.0, row.claimed) for row in found if is_tuning(row.name))
    return tuned / total if total > 0 else None
