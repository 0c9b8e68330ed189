"""A module of its own, by the name of a library."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)


def attack(program: Baseline) -> Candidate:
    return Candidate({**program.files, "numpy.py": b"x = 1\n"})


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("x_of_numpy = 1")
