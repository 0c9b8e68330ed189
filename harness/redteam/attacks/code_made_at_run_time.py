"""Code that nobody can read beforehand is made at run time."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.dynamic_code",)
BAD = 'made = eval("1" + "+" + "1")'
GOOD = 'made = int("1" + "1")'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
