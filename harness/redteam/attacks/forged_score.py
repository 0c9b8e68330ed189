"""A trial that learns nothing claims the best score by every way that it knows."""

from harness.redteam.program import Baseline, Candidate, claiming
from harness.task.check_forgery import forger

REASONS = ("artefact", "predictor.", "evaluation.")


def attack(program: Baseline) -> Candidate:
    return Candidate(forger(program.task))


def twin(program: Baseline) -> Candidate:
    return program.ended_with(claiming(program.task.metric, "0.0") + 'print("score:", 0.0)\n')
