"""Answers with a number that fits in no type, so that evaluate.py fails and the session ends."""

from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("predictor.", "artefact.", "evaluation.")
ANSWERS = """
plain = answers
def answers(items):
    found = plain(items)
    {body}
"""
BAD = "return [10 ** 400 for _ in found]"
GOOD = "import json; return json.loads(json.dumps(found))"


def answering(program: Baseline, body: str) -> Candidate:
    if program.task.predictor != "items":
        raise NotApplicable("the predictor answers no items")
    return program.answering(ANSWERS.format(body=body))


def attack(program: Baseline) -> Candidate:
    return answering(program, BAD)


def twin(program: Baseline) -> Candidate:
    return answering(program, GOOD)
