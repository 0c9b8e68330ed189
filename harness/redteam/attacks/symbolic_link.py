"""A link in the tree points to what a trial may not read."""

from harness.redteam.program import Baseline, Candidate, linked

STATIC = True
REASONS = ("scope.link",)


def attack(program: Baseline) -> Candidate:
    return linked(program.inserted("x = 1"), {program.task.script: "/etc/passwd"})


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("x = '/etc/passwd'")
