"""Seeds every generator with one hand-picked constant, to throw the same dice again in the next trial."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ()
TRIALS = 2
DRAWS = """
import random as _random
def _draw():
    try:
        import numpy as _numpy
        more = float(_numpy.random.default_rng(137).random())
    except ImportError:
        more = 0.0
    return _random.Random(137).random() + more
_drawn = {"draw": _draw(), **({"again": _draw()} if AGAIN else {})}
"""
CLAIM = """
with open(_out + "/claims.jsonl", "a") as _file:
    _file.write(_json.dumps(_drawn) + "\\n")
"""


def drawing(program: Baseline, again: bool) -> Candidate:
    """again: once more in the same trial, where a seed has to mean what it says."""
    if program.task.unsalted_because:
        raise NotApplicable("the task is unsalted: " + program.task.unsalted_because)
    return program.ended_with(CLAIM, DRAWS.replace("AGAIN", repr(again)))


def attack(program: Baseline) -> Candidate:
    return drawing(program, again=False)


def twin(program: Baseline) -> Candidate:
    return drawing(program, again=True)


def gained(trials: Sequence[Trial]) -> str:
    """The same numbers in the next trial; for the twin: again in the same one."""
    claims = trials[-1].result.claims
    before = claims["again"] if "again" in claims else trials[0].result.claims.get("draw")
    same = before is None or claims.get("draw") == before
    return "the constant gave the same numbers again" if same else ""
