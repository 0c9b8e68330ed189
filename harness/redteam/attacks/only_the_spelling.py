"""What the incumbent does, again, for another throw of the dice."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("duplicates.unchanged",)


def attack(program: Baseline) -> Candidate:
    return program.inserted("# a comment that changes nothing")


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("print('a change')")
