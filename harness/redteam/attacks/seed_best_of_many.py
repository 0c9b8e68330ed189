"""The luckiest of many seeds is chosen before training."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    return program.replaced(
        program.seed_reads(), lambda old: f"min(range(20), key=lambda seed: (seed * {old}) % 7)"
    )


def twin(program: Baseline) -> Candidate:
    return program.tuned().after_arguments("print(min(range(20), key=lambda rate: (rate * 3) % 7))")
