"""What a session can be expected to see and to cost, said before it starts."""

from harness.keep.power import race, smallest_effect
from harness.keep.race import Race
from harness.protocols import KeepRule

TRIALS_PER_DECISION = 1.25  # simulated nights with some improvements, docs/statistics.md
_NIGHTS = {0.05: "3 in 10", 0.01: "1 in 10"}  # of 100 trials, nothing but no-ops; same place


def plan(
    rule: KeepRule,
    trial_seconds: float,
    *,
    hours: float | None = None,
    trials: int | None = None,
    proposals: int | None = None,
    certificate: int = 5,
    sd: float | None = None,
    unit: str = "",
) -> list[str]:
    """Lines for people. trial_seconds: expected wall time of one trial; sd: of one trial's score, if known.

    hours, trials, proposals: the session's limits, None where there is none; certificate: trials a side.
    """
    left = trials_left(trial_seconds, hours, trials, rule.incumbent_runs + 2 * certificate)
    said = [_decisions(trial_seconds, decisions_expected(left, proposals))]
    said += _chances(rule, sd, unit) if isinstance(rule, Race) else []
    return said


def trials_left(trial_seconds: float, hours: float | None, trials: int | None, reserved: int) -> int | None:
    """Trials that proposals can use, None if nothing limits them."""
    limits = [int(hours * 3600 / trial_seconds)] if hours is not None and trial_seconds > 0 else []
    limits += [] if trials is None else [trials]
    return max(0, min(limits) - reserved) if limits else None


def decisions_expected(trials: int | None, proposals: int | None) -> int | None:
    possible = [] if trials is None else [int(trials / TRIALS_PER_DECISION)]
    possible += [] if proposals is None else [proposals]
    return min(possible) if possible else None


def _decisions(trial_seconds: float, decisions: int | None) -> str:
    if decisions is None:
        return f"plan: trials of about {trial_seconds:.0f} s, without a limit"
    hours = decisions * TRIALS_PER_DECISION * trial_seconds / 3600
    length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return f"plan: about {decisions} decisions in {length} ({TRIALS_PER_DECISION} trials of {trial_seconds:.0f} s each)"


def _chances(rule: Race, sd: float | None, unit: str) -> list[str]:
    settings = (rule.alpha, rule.max_runs, rule.futility)
    half, most = (smallest_effect(power, *settings) for power in (0.5, 0.8))
    if sd:
        name = f" {unit}" if unit else ""
        sizes = f"{half * sd:.2g}{name} is kept with 50 % probability, one of {most * sd:.2g} with 80 % (sd {sd:.2g})"
    else:
        sizes = f"{half:.1f} sd is kept with 50 % probability, one of {most:.1f} sd with 80 %"
    false = f"plan: a change without effect is kept with {race(0.0, *settings).keep:.1%} probability"
    night = _NIGHTS.get(rule.alpha)
    return [
        f"plan: an improvement of {sizes}",
        f"{false}; of nights of 100 trials without any effect, {night} keep something" if night else false,
    ]
