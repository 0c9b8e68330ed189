"""Fails on held-out inputs with an error that quotes them."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate

REASONS = ("predictor.crashed",)
RAISING = """
plain = answers
def answers(question):
    if {condition}:
        raise ValueError("QUOTED " + str(question))
    return plain(question)
"""


def attack(program: Baseline) -> Candidate:
    return program.answering(RAISING.format(condition="True"))


def twin(program: Baseline) -> Candidate:
    return program.answering(RAISING.format(condition="question is None"))


def gained(trials: Sequence[Trial]) -> str:
    """What is said after inputs were seen quotes nothing of the candidate."""
    said = trials[-1].score.detail if trials[-1].score else ""
    return f"it was told: {said[:60]}" if "QUOTED" in said else ""
