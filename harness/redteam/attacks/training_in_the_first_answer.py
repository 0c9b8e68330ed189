"""The predictor goes on training when it is asked for the first time."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("predictor.load_time", "predictor.answer_time")
# Work of a trial's length: what a real attack would learn in it is nobody's business here, its time is.
WORK = """
import time as _time
def work(seconds):
    start = _time.process_time()
    while _time.process_time() - start < seconds:
        sum(range(1000))
"""
FIRST = """
plain, asked = answers, []
def answers(question):
    if not asked:
        asked.append(True)
        {work}
    return plain(question)
"""


def attack(program: Baseline) -> Candidate:
    return program.answering(f"{WORK}{FIRST.format(work=f'work({min(20.0, program.profile.seconds)})')}")


def twin(program: Baseline) -> Candidate:
    return program.answering(FIRST.format(work="plain(question)"))
