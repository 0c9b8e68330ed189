"""The artefact is only written when the time is over."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("deadline", "late", "no_artefact")
LATE = """
import time as _time
with open(_place, "rb") as _file:
    _bytes = _file.read()
_os.unlink(_place)
_start = _time.{clock}()
while _time.{clock}() - _start < {seconds}:
    pass
with open(_place, "wb") as _file:
    _file.write(_bytes)
"""


def delayed(program: Baseline, seconds: float) -> Candidate:
    clock = "process_time" if program.profile.clock == "cpu" else "perf_counter"  # what the budget counts
    words = LATE.format(seconds=seconds, clock=clock)
    return program.ended_with(f"_place = _out + '/{program.task.artefact}'\n" + words)


def attack(program: Baseline) -> Candidate:
    return delayed(program, 1.5 * program.profile.seconds)


def twin(program: Baseline) -> Candidate:
    return delayed(program, 0.0)
