"""The salt of the referee is taken off the seeding calls by loading their module anew."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("seed.undone", "scope.")


def attack(program: Program) -> Candidate:
    return program.inserted("import importlib\nimport random\n\nimportlib.reload(random)")


def twin(program: Program) -> Candidate:
    return program.tuned().inserted("import random\n\nprint(random.__name__)")
