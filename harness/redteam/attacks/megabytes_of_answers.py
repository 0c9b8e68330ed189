"""Answers so large that reading them takes the memory of the referee."""

from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("predictor.",)
ANSWERS = """
plain = answers
def answers(items):
    found = plain(items)
    {body}
"""
BAD = 'return [["x" * (1 << 19)] for _ in found]'
GOOD = 'megabyte = "x" * (1 << 20); return found'


def answering(program: Baseline, body: str) -> Candidate:
    if program.task.predictor != "items":
        raise NotApplicable("the predictor answers no items")
    return program.answering(ANSWERS.format(body=body))


def attack(program: Baseline) -> Candidate:
    return answering(program, BAD)


def twin(program: Baseline) -> Candidate:
    return answering(program, GOOD)
