"""Proposes traces of operations that might break an invariant of the protocol. Edit this file (and train.py).

    load_predictor(artefact_path, data) -> propose(list of feedback) -> list of answers

A feedback is a dict about one campaign, see INVARIANTS.md; the answer is {"traces": [...], "memory": anything small},
and the memory comes back with the next feedback of that campaign. An answer may depend on its own feedback alone.
"""

import json
import random
from pathlib import Path

from campaign import MOST_OPERATIONS, MOST_TRACES
from protocol import ACTORS, OPERATIONS, SCOPES, VALUES

TRACES = MOST_TRACES  # an answer may hold fewer
LENGTH = MOST_OPERATIONS  # of a trace, which may be shorter

RIGHT_ACTOR = 0.5  # chance to ask for somebody who may
ISSUER_DOES = ("narrow", "widen", "set_limit", "renew", "revoke", "reinstate")

PLAIN_WEIGHTS = dict.fromkeys(OPERATIONS, 1.0)


def load_predictor(artefact_path: str, data: str):  # noqa: ARG001 -- the signature is the contract
    weights = json.loads(Path(artefact_path).read_text())["weights"]
    return lambda feedbacks: [propose(feedback, weights) for feedback in feedbacks]


def propose(feedback: dict, weights: dict[str, float]) -> dict:
    generator = random.Random(f"{feedback['seed']} {feedback['round']}")
    return {"traces": [trace(generator, weights) for _ in range(TRACES)], "memory": None}


def trace(generator: random.Random, weights: dict[str, float]) -> list[list]:
    """Random operations on what the trace has made so far; whether they are accepted is not known."""
    grants: list[dict] = []
    holds: list[dict] = []
    operations: list[list] = []
    names, chances = [*OPERATIONS], [weights[name] for name in OPERATIONS]
    while len(operations) < LENGTH:
        name = generator.choices(names, chances)[0]
        kinds, makes = OPERATIONS[name]
        if ("grant" in kinds and not grants) or ("hold" in kinds and not holds):
            continue
        subject = generator.choice(grants if "grant" in kinds else holds if "hold" in kinds else [None])
        operation = [name, *(argument(generator, kind, grants, subject) for kind in kinds)]
        if subject is not None:
            operation[1] = actor(generator, name, subject)
            operation[2] = subject["position"]
        operations.append(operation)
        believe(operation, makes, len(operations) - 1, grants, holds)
    return operations


def actor(generator: random.Random, name: str, subject: dict) -> str:
    """Who may do this, as far as we know; sometimes anybody."""
    if generator.random() > RIGHT_ACTOR:
        return generator.choice(ACTORS)
    return subject["issuer"] if name in ISSUER_DOES else subject["holder"]


def believe(operation: list, makes: str | None, position: int, grants: list[dict], holds: list[dict]) -> None:
    """What we think of the state after an operation, as if every operation were accepted."""
    name, who, *rest = operation
    if name == "issue":
        grants.append({"position": position, "issuer": who, "holder": rest[0]})
    elif name in ("delegate", "merge"):
        grants.append({"position": position, "issuer": who, "holder": rest[1] if name == "delegate" else who})
    elif name == "transfer":
        next(grant for grant in grants if grant["position"] == rest[0])["holder"] = rest[1]
    elif makes == "hold":
        holds.append({"position": position, "issuer": who, "holder": who})


def argument(generator: random.Random, kind: str, grants: list[dict], subject: dict | None):
    if kind == "scopes":
        return sorted(generator.sample(SCOPES, generator.randint(1, len(SCOPES))))
    if kind == "grant":
        return generator.choice(grants)["position"]
    if kind == "hold":
        return subject["position"]
    return generator.choice(VALUES[kind])
