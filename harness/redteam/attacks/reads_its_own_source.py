"""Bytes that stand in the source are data that no guard weighs."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.",)
BAD = "with open(__file__) as own:\n    print(len(own.read()))"
GOOD = 'from pathlib import Path\n\nprint(Path("x").suffix)'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
