"""A name that looks like another one."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.identifier",)
BAD = "r\u0430te = 1"
GOOD = "rate_of_change = 1"


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
