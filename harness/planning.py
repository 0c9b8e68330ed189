"""What a session can be expected to see and to cost, said before it starts."""

from harness.keep.power import race, smallest_effect

SLOTS_PER_DECISION = (
    1.25  # simulated nights, docs/statistics.md; without any effect 1.04 trials of the candidate
)
CERTIFICATE_TRIALS = 10


def plan(
    trial_seconds: float,
    hours: float | None,
    trials: int | None = None,
    proposals: int | None = None,
    sd: float | None = None,
    unit: str = "",
    alpha: float = 0.05,
    incumbent_runs: int = 4,
) -> list[str]:
    """Lines for people. trial_seconds: expected wall time of one trial; sd: of one trial's loss, if known.

    hours, trials and proposals are the session's limits, None where there is none.
    """
    available = trials_available(trial_seconds, hours, trials, incumbent_runs)
    return [
        _decisions(trial_seconds, available, proposals),
        _effects(sd, unit, alpha),
        _errors(available, proposals, alpha),
        f"certificate: {CERTIFICATE_TRIALS} fresh trials at the end, if anything is kept",
    ]


def trials_available(
    trial_seconds: float, hours: float | None, trials: int | None, incumbent_runs: int
) -> int | None:
    """Trials that the search can use, None if nothing limits them."""
    limits = [int(hours * 3600 / trial_seconds)] if hours is not None and trial_seconds > 0 else []
    limits += [] if trials is None else [trials]
    return max(0, min(limits) - CERTIFICATE_TRIALS - incumbent_runs) if limits else None


def decisions_expected(available: int | None, proposals: int | None) -> int | None:
    possible = [] if available is None else [int(available / SLOTS_PER_DECISION)]
    possible += [] if proposals is None else [proposals]
    return min(possible) if possible else None


def _decisions(trial_seconds: float, available: int | None, proposals: int | None) -> str:
    decisions = decisions_expected(available, proposals)
    if decisions is None:
        return f"trials of about {trial_seconds:.0f} s; no limit of time, trials or proposals"
    needed = decisions * SLOTS_PER_DECISION * trial_seconds / 3600
    return (
        f"about {decisions} decisions in {needed:.1f} h of search "
        f"({SLOTS_PER_DECISION} trials of {trial_seconds:.0f} s each)"
    )


def _effects(sd: float | None, unit: str, alpha: float) -> str:
    sizes = {power: smallest_effect(power, alpha) for power in (0.5, 0.8)}
    if sd is None:
        halves = ", ".join(f"{size:.1f} sd at {power:.0%}" for power, size in sizes.items())
        return f"kept improvements: {halves} (the sd is not known yet: python -m harness.noise)"
    halves = ", ".join(f"{size * sd:.2g} at {power:.0%}" for power, size in sizes.items())
    return f"kept improvements: {halves} (sd {sd:.2g} {unit})".replace(" )", ")")


def _errors(available: int | None, proposals: int | None, alpha: float) -> str:
    chance = race(0.0, alpha).keep
    text = f"a change without effect is kept with probability {chance:.3f}"
    decisions = decisions_expected(available, proposals)
    if decisions is None:
        return text
    # decisions share their incumbent: a night with one false keep has rarely a second one
    return f"{text}; {chance * decisions:.1f} false keeps at most expected in {decisions} decisions"
