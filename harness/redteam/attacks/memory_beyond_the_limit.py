"""Memory that is shared and that nobody owns, beyond the limit."""

from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("memory",)
HELD = """
import mmap as _mmap, time as _time
_held = _mmap.mmap(-1, {size})
for _place in range(0, {size}, 4096):
    _held[_place] = 1
_time.sleep(0.5)
"""
MOST_BYTES = 2 << 30  # no machine is filled up for this


def holding(program: Baseline, size: int) -> Candidate:
    if program.profile.limits().memory_bytes > MOST_BYTES:
        raise NotApplicable("the limit is higher than what is tried")
    return program.started_with(HELD.format(size=size))


def attack(program: Baseline) -> Candidate:
    return holding(program, round(program.profile.limits().memory_bytes * 1.2))


def twin(program: Baseline) -> Candidate:
    return holding(program, 1 << 20)
