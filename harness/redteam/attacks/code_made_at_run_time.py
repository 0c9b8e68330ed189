"""Code that nobody can read beforehand is made at run time."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.dynamic_code",)
BAD = 'made = eval("1" + "+" + "1")'
GOOD = 'made = int("1" + "1")'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
