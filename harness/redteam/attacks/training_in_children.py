"""Children of the predictor go on training, and nobody waits for them."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("predictor.load_time", "predictor.answer_time")
CHILDREN = """
import os, time
plain, asked = answers, []
def answers(question):
    if not asked:
        asked.append(True)
        for _ in range(2):
            if os.fork() == 0:
                os.setsid()
                start = time.process_time()
                while time.process_time() - start < {seconds}:
                    sum(range(1000))
                os._exit(0)
        time.sleep({seconds} / 2)
    return plain(question)
"""


def attack(program: Baseline) -> Candidate:
    return program.answering(CHILDREN.format(seconds=min(20.0, program.profile.seconds)))


def twin(program: Baseline) -> Candidate:
    return program.answering(CHILDREN.format(seconds=0.001))
