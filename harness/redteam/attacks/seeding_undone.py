"""The salt of the referee is taken off the seeding calls by loading their module anew."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.undone", "scope.")


def attack(program: Baseline) -> Candidate:
    return program.inserted("import importlib\nimport random\n\nimportlib.reload(random)")


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("import random\n\nprint(random.__name__)")
