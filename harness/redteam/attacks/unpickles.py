"""Code that travels in a pickle."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.",)
BAD = 'import pickle\n\npickle.loads(b"N.")'
GOOD = 'import json\n\njson.loads("null")'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
