"""What a session can be expected to see and to cost, said before it starts."""

import math

from harness.keep.power import race, smallest_effect, smallest_step
from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.protocols import KeepRule

# Simulated nights with some improvements, docs/statistics.md.
_TRIALS_PER_DECISION = {Stack: 1.3, Race: 1.5}
_OTHERWISE = 1.2


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
    each = _TRIALS_PER_DECISION.get(type(rule), _OTHERWISE)
    said = [_decisions(trial_seconds, decisions_expected(left, proposals, each), each)]
    said += _of_race(rule, sd, unit) if isinstance(rule, Race) else []
    said += _of_stack(rule, sd, unit) if isinstance(rule, Stack) else []
    return said


def trials_expected(
    rule: KeepRule, trials: int | None, proposals: int | None, certificate: int
) -> int | None:
    """Trials of a whole session, None if nothing limits them. The arguments are as in `plan`."""
    reserved = rule.incumbent_runs + 2 * certificate
    each = _TRIALS_PER_DECISION.get(type(rule), _OTHERWISE)
    decisions = decisions_expected(trials_left(0.0, None, trials, reserved), proposals, each)
    return None if decisions is None else reserved + math.ceil(decisions * each)


def trials_left(trial_seconds: float, hours: float | None, trials: int | None, reserved: int) -> int | None:
    """Trials that proposals can use, None if nothing limits them."""
    limits = [int(hours * 3600 / trial_seconds)] if hours is not None and trial_seconds > 0 else []
    limits += [] if trials is None else [trials]
    return max(0, min(limits) - reserved) if limits else None


def decisions_expected(trials: int | None, proposals: int | None, trials_each: float) -> int | None:
    possible = [] if trials is None else [int(trials / trials_each)]
    possible += [] if proposals is None else [proposals]
    return min(possible) if possible else None


def _decisions(trial_seconds: float, decisions: int | None, trials_each: float) -> str:
    if decisions is None:
        return f"plan: trials of at most {trial_seconds:.0f} s each; the session has no limit"
    hours = decisions * trials_each * trial_seconds / 3600
    length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return (
        f"plan: about {decisions} decisions in {length} ({trials_each} trials of {trial_seconds:.0f} s each),"
        " plus start-up and scoring of every trial"
    )


def _sizes(half: float, most: float, sd: float | None, unit: str, what: str) -> str:
    if not sd:
        known = "sd: how much one program's score varies from seed to seed, not known here yet"
        return f"{half:.1f} sd is {what} with 50 % probability, one of {most:.1f} sd with 80 % ({known})"
    name = f" {unit}" if unit else ""
    return (
        f"{half * sd:.2g}{name} is {what} with 50 % probability, one of {most * sd:.2g} with 80 % (from seed to seed "
        f"one program's score varies by {sd:.2g})"
    )


def _of_race(rule: Race, sd: float | None, unit: str) -> list[str]:
    settings = (rule.alpha, rule.max_runs, rule.futility)
    half, most = (smallest_effect(power, *settings) for power in (0.5, 0.8))
    return [
        f"plan: an improvement of {_sizes(half, most, sd, unit, 'kept')}",
        f"plan: a change without effect is kept with {race(0.0, *settings).keep:.1%} probability",
    ]


def _of_stack(rule: Stack, sd: float | None, unit: str) -> list[str]:
    half, most = (smallest_step(power, rule.next_alpha(()), rule.looks) for power in (0.5, 0.8))
    return [
        f"plan: keeps are provisional; every {rule.provisional_keeps}, and at the end, they are certified together on "
        "fresh trials or rolled back",
        f"plan: a stack that gains {_sizes(half, most, sd, unit, 'certified')}",
        f"plan: {error_budget(rule)}",
    ]


def error_budget(rule: Stack) -> str:
    """What the session may err with, in words: stated before it and again on its certificate."""
    share = rule.session_error
    return (
        f"this session is to expect at most {share:g} false certified steps if nothing that is proposed helps, "
        f"and at most {share:.0%} of its steps to be false otherwise"
    )
