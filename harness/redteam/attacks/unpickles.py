"""Code that travels in a pickle."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)
BAD = 'import pickle\n\npickle.loads(b"N.")'
GOOD = 'import json\n\njson.loads("null")'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
