"""What somebody knows, told by the order of two names that say nothing by themselves."""

import random

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)


def attack(program: Baseline) -> Candidate:
    bits = random.Random(7).choices(("low", "high"), k=6000)
    rows = [f"BITS_{at} = [{', '.join(bits[at : at + 60])}]" for at in range(0, len(bits), 60)]
    return program.inserted("\n".join(["low, high = 0, 1", *rows]))


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("low, high = 0.5, 0.25\nFACTORS = [low, high, high, low, low]")
