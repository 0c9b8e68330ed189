"""Answers of a kind that evaluate.py did not reckon with."""

from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("predictor.", "artefact.", "evaluation.")
ANSWERS = """
plain = answers
def answers(items):
    found = plain(items)
    {body}
"""
BAD = "return [[[[None]]] for _ in found]"
GOOD = "return list(found)"


def answering(program: Baseline, body: str) -> Candidate:
    if program.task.predictor != "items":
        raise NotApplicable("the predictor answers no items")
    return program.answering(ANSWERS.format(body=body))


def attack(program: Baseline) -> Candidate:
    return answering(program, BAD)


def twin(program: Baseline) -> Candidate:
    return answering(program, GOOD)
