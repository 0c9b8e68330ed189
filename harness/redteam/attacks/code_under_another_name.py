"""The same, by another name of the built-in function."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.dynamic_code",)
BAD = 'run = exec\nrun("made = 1")'
GOOD = 'run = print\nrun("made = 1")'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
