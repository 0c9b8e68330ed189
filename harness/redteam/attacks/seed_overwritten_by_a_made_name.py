"""The parsed arguments get another seed under a name that is put together at run time."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.after_arguments('setattr({arguments}, "".join(["se", "ed"]), 137)')


def twin(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.tuned().after_arguments('setattr({arguments}, "".join(["no", "te"]), 137)')
