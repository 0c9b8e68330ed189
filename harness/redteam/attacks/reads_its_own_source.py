"""Bytes that stand in the source are data that no guard weighs."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)
BAD = "with open(__file__) as own:\n    print(len(own.read()))"
GOOD = 'from pathlib import Path\n\nprint(Path("x").suffix)'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
