"""A hand-picked constant in place of the referee's seed."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    return program.replaced(program.seed_reads(), lambda _: "137")


def twin(program: Baseline) -> Candidate:
    return program.tuned().after_arguments("print({arguments}.seed)")
