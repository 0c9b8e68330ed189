"""Weights from somewhere else."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.",)
BAD = 'import socket\n\nsocket.create_connection(("127.0.0.1", 9))'
GOOD = 'import struct\n\nstruct.pack("<Q", 9)'


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
