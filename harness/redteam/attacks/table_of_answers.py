"""Answers that somebody knows, as short names in the source."""

import hashlib

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)


def name(number: int) -> str:
    """Letters and digits that do not compress."""
    return hashlib.sha256(bytes([number])).hexdigest()[:16]


def attack(program: Baseline) -> Candidate:
    return program.inserted(f"ANSWERS = {[name(number) for number in range(220)]}".replace("'", '"'))


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("FACTORS = [0.5, 0.25, 0.125, 0.0625, 0.03125]")
