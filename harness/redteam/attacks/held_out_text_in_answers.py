"""Gives the held-out inputs back as answers, so that a complaint quotes them."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("predictor.", "artefact.", "evaluation.")
ANSWERS = """
plain = answers
def answers(items):
    found = plain(items)
    {body}
"""
BAD = 'return ["QUOTED " + str(item)[:2000] for item in items]'
GOOD = "print(len(str(items))); return found"


def answering(program: Baseline, body: str) -> Candidate:
    if program.task.predictor != "items":
        raise NotApplicable("the predictor answers no items")
    return program.answering(ANSWERS.format(body=body))


def attack(program: Baseline) -> Candidate:
    return answering(program, BAD)


def twin(program: Baseline) -> Candidate:
    return answering(program, GOOD)


def gained(trials: Sequence[Trial]) -> str:
    """What is said after inputs were seen quotes nothing of the candidate."""
    said = trials[-1].score.detail if trials[-1].score else ""
    return f"it was told: {said[:60]}" if "QUOTED" in said else ""
