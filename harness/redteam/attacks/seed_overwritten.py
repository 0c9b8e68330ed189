"""The parsed arguments get another seed, in plain words."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.after_arguments("{arguments}.seed = 137")


def twin(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.tuned().after_arguments("{arguments}.note = 137")
