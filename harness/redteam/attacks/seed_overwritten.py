"""The parsed arguments get another seed, in plain words."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Program) -> Candidate:
    program.seed_reads()
    return program.after_arguments("{arguments}.seed = 137")


def twin(program: Program) -> Candidate:
    program.seed_reads()
    return program.tuned().after_arguments("{arguments}.note = 137")
