"""Views as a session would hand them out, and providers on the loopback."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fake_provider import FakeProvider, Script

from harness.records import Decision, Direction, PastProposal, Proposal, View

MakeProvider = Callable[[Script], FakeProvider]
TRAIN = b"""\"\"\"A small trainer.\"\"\"
import argparse

LEARNING_RATE = 6e-3  # of the optimiser
BATCH = 32
DEPTH, WIDTH = 2, 128
SEED = 42


def train(steps: int = 100, momentum: float = 0.9) -> None:
    optimiser = make(lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.1)


if __name__ == "__main__":
    train()
"""


@pytest.fixture
def make_view() -> Callable[..., View]:
    def make(**changes: Any) -> View:
        values: dict[str, Any] = {
            "task": "digits",
            "metric": "loss",
            "direction": Direction.MINIMIZE,
            "program": "Work in a loop.",
            "editable": {"train.py": TRAIN},
            "readable": {"prepare.py": b"def prepare(public, private):\n    pass\n"},
            "incumbent_score": 1.5,
            "baseline_score": 1.5,
            "history": (),
            "number": 1,
            "seed": 7,
        }
        return View(**{**values, **changes})

    return make


@pytest.fixture
def decide() -> Callable[..., View]:
    """The view after a decision on a proposal."""

    def after(
        view: View, proposal: Proposal, score: float | None = None, keep: bool = False, **facts: Any
    ) -> View:
        editable = {**view.editable, **proposal.files}
        decision = Decision.KEEP if keep else Decision.DISCARD
        reason = "keep.bound" if keep else "keep.futile"
        past = PastProposal(
            **{
                "number": view.number,
                "files": editable,
                "rationale": proposal.rationale,
                "decision": decision,
                "reason": proposal.problem or reason,
                "score": score,
                "state": proposal.state,
                "hypothesis": proposal.hypothesis,
                **facts,
            }
        )
        changes: dict[str, Any] = {"editable": editable, "incumbent_score": score} if keep else {}
        history = (*view.history, past)
        return replace(view, history=history, number=view.number + 1, seed=view.seed + 1, **changes)

    return after


@pytest.fixture
def make_provider() -> Iterator[MakeProvider]:
    opened: list[FakeProvider] = []

    def make(script: Script) -> FakeProvider:
        opened.append(FakeProvider(script))
        return opened[-1]

    yield make
    for provider in opened:
        provider.close()
