"""Work goes to a process of its own."""

from harness.redteam.program import Candidate, Program

STATIC = True
REASONS = ("scope.",)
BAD = 'import subprocess\n\nsubprocess.run(["true"])'
GOOD = 'import functools\n\nfunctools.partial(print, "true")()'


def attack(program: Program) -> Candidate:
    return program.inserted(BAD)


def twin(program: Program) -> Candidate:
    return program.tuned().inserted(GOOD)
