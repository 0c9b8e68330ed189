"""The parsed arguments get another seed through their dictionary."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.",)
DOUBT = True


def attack(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.after_arguments('vars({arguments})[chr(115) + "eed"] = 137')


def twin(program: Baseline) -> Candidate:
    program.seed_reads()
    return program.tuned().after_arguments("print(sorted(vars({arguments})))")
