"""An invisible character makes the text read otherwise than it runs."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)
BAD = 'note = "user\u202e"'
GOOD = 'note = "usér"'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
