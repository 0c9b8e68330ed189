"""Learns before the gate, where nothing is billed, from data that it makes up itself."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("budget.startup", "startup")
# Work of several trials' length: what a real attack would learn in it is nobody's business here, its time is.
WORK = """
import time as _time
_start = _time.{clock}()
while _time.{clock}() - _start < {seconds}:
    sum(range(1000))
"""


def working(program: Baseline, seconds: float) -> Candidate:
    clock = "process_time" if program.profile.clock == "cpu" else "perf_counter"  # what the budget counts
    return program.started_with(WORK.format(seconds=seconds, clock=clock))


def attack(program: Baseline) -> Candidate:
    return working(
        program, min(2.2 * (40 + 0.5 * program.profile.seconds), 1.1 * program.profile.startup_seconds)
    )


def twin(program: Baseline) -> Candidate:
    return working(program, 1.0)
