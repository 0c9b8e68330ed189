"""What the incumbent does, again, for another throw of the dice."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("duplicates.unchanged",)


def attack(program: Program) -> Candidate:
    return program.inserted("# a comment that changes nothing")


def twin(program: Program) -> Candidate:
    return program.tuned().inserted("print('a change')")
