"""Were two trials run under like conditions? Judged by what the referee measured beside them, and by its own noise.

Pure. Names are those of `TrialResult.machine`.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

LATEST = 6  # trials of unmodified or kept programs that a new one is compared with
_CONFIDENCE = 0.99
_LEAST_RATIO = 0.15  # differences of speed below it are not worth another trial
_LEAST_CORES = 0.5
Machine = Mapping[str, float]


def compared(machine: Machine, others: Sequence[Machine]) -> dict[str, float]:
    """pulse_ratio: speed of the referee's work beside this trial, 1 = as beside the others; foreign_shift: cores more
    that other programs used. Each with the tolerance that the others' own scatter gives. Nothing where nothing was
    measured.
    """
    found = {}
    if speeds := _known("pulse_seconds", machine, others):
        own, *theirs = (1 / seconds for seconds in speeds)
        middle = statistics.fmean(theirs)
        found["pulse_ratio"] = own / middle
        found["pulse_tolerance"] = max(_LEAST_RATIO, _reach(theirs) / middle)
    if cores := _known("foreign_cores", machine, others):
        own, *theirs = cores
        found["foreign_shift"] = own - statistics.fmean(theirs)
        found["foreign_tolerance"] = max(_LEAST_CORES, _reach(theirs))
    return found


def changed(machine: Machine) -> bool:
    """Whether a trial of a program that is trusted had another machine under it than those before."""
    faster = abs(machine.get("pulse_ratio", 1.0) - 1) > machine.get("pulse_tolerance", math.inf)
    return faster or abs(machine.get("foreign_shift", 0.0)) > machine.get("foreign_tolerance", math.inf)


def foreign_cores(busy_cores: float, cpu_seconds: float, wall_seconds: float) -> float:
    """Of the cores that were busy during a trial, those that it did not use itself."""
    return max(0.0, busy_cores - cpu_seconds / wall_seconds) if wall_seconds > 0 else busy_cores


def alike(one: Sequence[Machine], other: Sequence[Machine], *more: Sequence[Machine]) -> bool:
    """Whether two sides of a comparison had the same machine on average; True where nobody knows.

    more: further groups of trials whose scatter, each around its own mean, says how far a steady machine's trials lie
    apart: two sides of two trials say little of it themselves.
    """
    for name, least in (("pulse_seconds", _LEAST_RATIO), ("foreign_cores", _LEAST_CORES)):
        scale = math.log if name == "pulse_seconds" else float
        groups = [[scale(seen[name]) for seen in group if name in seen] for group in (one, other, *more)]
        sides = groups[:2]
        if min(map(len, sides)) < 2:
            continue
        scatter, degrees = _scatter(groups)
        difference = abs(statistics.fmean(sides[0]) - statistics.fmean(sides[1]))
        reach = _quantile(degrees) * scatter * math.sqrt(sum(1 / len(side) for side in sides))
        if difference > max(least, reach):
            return False
    return True


def _scatter(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation within groups, all together, and its degrees of freedom."""
    degrees = sum(len(group) - 1 for group in groups if group)
    squares = sum(statistics.pvariance(group) * len(group) for group in groups if group)
    return math.sqrt(squares / degrees), degrees


def _known(name: str, machine: Machine, others: Sequence[Machine]) -> list[float]:
    """This trial's number, then those of the others; empty with fewer than two of them."""
    theirs = [other[name] for other in others if name in other]
    return [machine[name], *theirs] if name in machine and len(theirs) > 1 else []


def _reach(values: Sequence[float]) -> float:
    """How far a new value may lie from the mean of these, were it one of them."""
    count = len(values)
    return _quantile(count - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / count)


def _quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + _CONFIDENCE) / 2))
