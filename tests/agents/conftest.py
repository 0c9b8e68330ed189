"""Views as a session would hand them out, without a session."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.records import Direction, View

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
