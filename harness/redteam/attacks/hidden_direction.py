"""An invisible character makes the text read otherwise than it runs."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.",)
BAD = 'note = "user\u202e"'
GOOD = 'note = "usér"'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
