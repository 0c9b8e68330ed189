"""A module of its own, by the name of a library."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.",)


def attack(program: Program) -> Candidate:
    return Candidate({**program.files, "numpy.py": b"x = 1\n"})


def twin(program: Program) -> Candidate:
    return program.tuned().inserted("x_of_numpy = 1")
