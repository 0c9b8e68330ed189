"""Proposes random traces for any protocol that has OPERATIONS, VALUES and SETS; own_protocol.py copies it.

    load_predictor(artefact_path, data) -> propose(list of feedback) -> list of answers

A feedback is a dict about one campaign; the answer is {"traces": [...], "memory": anything small}, and the memory
comes back with the next feedback of that campaign. An answer may depend on its own feedback alone.
"""

import json
import random
from pathlib import Path

from campaign import MOST_OPERATIONS, MOST_TRACES
from protocol import OPERATIONS, SETS, VALUES

TRACES = MOST_TRACES  # an answer may hold fewer
LENGTH = MOST_OPERATIONS  # of a trace, which may be shorter

PLAIN_WEIGHTS = dict.fromkeys(OPERATIONS, 1.0)


def load_predictor(artefact_path: str, data: str):  # noqa: ARG001 -- the signature is the contract
    weights = json.loads(Path(artefact_path).read_text())["weights"]
    return lambda feedbacks: [propose(feedback, weights) for feedback in feedbacks]


def propose(feedback: dict, weights: dict[str, float]) -> dict:
    generator = random.Random(f"{feedback['seed']} {feedback['round']}")
    return {"traces": [trace(generator, weights) for _ in range(TRACES)], "memory": None}


def trace(generator: random.Random, weights: dict[str, float]) -> list[list]:
    """Random operations on what the trace has made so far; whether they are accepted is not known."""
    made: dict[str, list[int]] = {makes: [] for _, makes in OPERATIONS.values() if makes}
    operations: list[list] = []
    names, chances = [*OPERATIONS], [weights[name] for name in OPERATIONS]
    while len(operations) < LENGTH:
        name = generator.choices(names, chances)[0]
        kinds, makes = OPERATIONS[name]
        if any(kind in made and not made[kind] for kind in kinds):
            continue
        operations.append([name, *(argument(generator, kind, made) for kind in kinds)])
        if makes:
            made[makes].append(len(operations) - 1)
    return operations


def argument(generator: random.Random, kind: str, made: dict[str, list[int]]):
    if kind in made:
        return generator.choice(made[kind])
    if kind in SETS:
        return sorted(generator.sample(SETS[kind], generator.randint(1, len(SETS[kind]))))
    return generator.choice(VALUES[kind])
