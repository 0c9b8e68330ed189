"""The artefact is only written when the time is over."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("deadline", "late", "no_artefact")
LATE = """
import time as _time
with open(_place, "rb") as _file:
    _bytes = _file.read()
_os.unlink(_place)
_start = _time.perf_counter()
while _time.perf_counter() - _start < {seconds}:
    pass
with open(_place, "wb") as _file:
    _file.write(_bytes)
"""


def delayed(program: Baseline, seconds: float) -> Candidate:
    return program.ended_with(f"_place = _out + '/{program.task.artefact}'\n" + LATE.format(seconds=seconds))


def attack(program: Baseline) -> Candidate:
    return delayed(program, 1.5 * program.profile.seconds)


def twin(program: Baseline) -> Candidate:
    return delayed(program, 0.0)
