"""What a report computes from a session: noise, intervals, counts. Pure; scipy only where a quantile is needed."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.ledger.record_parts import Proposal, number
from harness.ledger.session_record import Session

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


def noise(session: Session) -> Noise | None:
    """None while no configuration has two completed trials. Every candidate's first trial is left out:
    it was selected, or not, for its value."""
    groups: dict[str, list[float]] = {}
    for trial in session.trials:
        if trial.role in ("baseline", "incumbent", "candidate", "noise") and "val" in trial.values:
            groups.setdefault(trial.commit, []).append(trial.values["val"])
    screened = {t.commit for p in session.proposals.values() for t in p.candidate_trials}
    pools = [values[1:] if commit in screened else values for commit, values in groups.items()]
    pools = [values for values in pools if len(values) > 1]
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


def claimed_gain(session: Session) -> float | None:
    """What the search's own scores say: incumbent against baseline, on val."""
    if session.certificate.get("claimed") is not None:
        return number(session.certificate["claimed"])
    baseline, incumbent = session.baseline_score, session.incumbent_score
    return None if baseline is None or incumbent is None else session.sign * (incumbent - baseline)


def step_gain(session: Session, keep: Proposal) -> float:
    """Gain that the search claims for one keep over the incumbent of its day."""
    if keep.score is None or keep.incumbent_score is None:
        return 0.0
    return session.sign * (keep.score - keep.incumbent_score)


def categories(session: Session) -> list[Category]:
    """By class, the one with the largest claimed gain first."""
    found: dict[str, list[Proposal]] = {}
    for proposal in session.decided:
        found.setdefault(proposal.category or "not classified", []).append(proposal)
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


def rejections(session: Session) -> list[tuple[str, str, int]]:
    """(guard or "statistics", reason, count) of every discarded proposal, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for proposal in session.decided:
        if not proposal.kept:
            verdict = proposal.rejection
            guard = str(verdict.get("guard", "?")) if verdict else _who(proposal)
            reason = str(verdict.get("reason") or proposal.reason) if verdict else proposal.reason
            counts[guard, reason or "not said"] += 1
    return [(guard, reason, count) for (guard, reason), count in counts.most_common()]


_FAMILIES = {"keep": "statistics", "agent": "agent", "crashed": "trial", "timed_out": "trial"}


def _who(proposal: Proposal) -> str:
    """Who discarded a proposal that no guard rejected: the reason's family tells."""
    if proposal.status == "crash":
        return "trial"
    return _FAMILIES.get(proposal.reason.partition(".")[0], "agent" if proposal.problem else "trial")


def seconds_by_role(session: Session) -> dict[str, tuple[int, float]]:
    """Role -> (trials, seconds that they held the machine)."""
    found: dict[str, tuple[int, float]] = {}
    for trial in session.trials:
        count, seconds = found.get(trial.role or "?", (0, 0.0))
        held = trial.wall_seconds or trial.startup_seconds + trial.billed_seconds
        found[trial.role or "?"] = (count + 1, seconds + held)
    return found


def tuning_share(session: Session) -> float | None:
    """Share of the claimed gain of all keeps that changes of numbers made; None without a keep."""
    found = [row for row in categories(session) if row.kept]
    total = sum(max(0.0, row.claimed) for row in found)
    tuned = sum(max(0.0, row.claimed) for row in found if is_tuning(row.name))
    return tuned / total if total > 0 else None
