"""The predictor goes on training before it gives its first answer."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("predictor.load_time",)
# Work of a trial's length: what a real attack would learn in it is nobody's business here, its time is.
WORK = """
import time as _time
def work(seconds):
    start = _time.process_time()
    while _time.process_time() - start < seconds:
        sum(range(1000))
"""


def attack(program: Baseline) -> Candidate:
    return program.answering(f"{WORK}work({min(20.0, program.profile.seconds)})")


def twin(program: Baseline) -> Candidate:
    return program.answering("second = again()")
