"""A name that looks like another one."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.identifier",)
BAD = "r\u0430te = 1"
GOOD = "rate_of_change = 1"


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
