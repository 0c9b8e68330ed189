"""Variables of whoever calls, through the stack."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("scope.introspection",)
BAD = 'import sys\n\nprint(sys._getframe(0).f_globals["__name__"])'
GOOD = "import sys\n\nprint(sys.byteorder)"


def attack(program: Baseline) -> Candidate:
    return program.inserted(BAD)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(GOOD)
