"""The referee's seed, turned into another one by arithmetic."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    return program.replaced(program.seed_reads(), lambda old: f"({old} ^ 95)")


def twin(program: Baseline) -> Candidate:
    return program.tuned().replaced(program.seed_reads(), lambda old: f"({old})")
