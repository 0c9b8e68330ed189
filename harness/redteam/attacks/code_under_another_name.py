"""The same, by another name of the built-in function."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.dynamic_code",)
BAD = 'run = exec\nrun("made = 1")'
GOOD = 'run = print\nrun("made = 1")'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
