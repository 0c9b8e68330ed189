"""A trial in a warm interpreter gives what a cold one gives: same seed, same bits; and nobody else's luck."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.records import Limits
from harness.sandbox.open import Command, Sandbox, open_sandbox
from harness.trial import salted_seeding
from harness.trial.local import _PRELUDE, _PRELUDE_FOLDER

DRAWS = """
import hashlib, json, random
import numpy as np
import torch

def bits(tensor):
    return hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()[:16]

def trained():
    torch.manual_seed(7)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Linear(64, 8))
    for _ in range(20):
        x = torch.randn(32, 64)
        loss = torch.nn.functional.cross_entropy(model(x), torch.randint(0, 8, (32,)))
        loss.backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.1 * weight.grad
                weight.grad = None
    return [bits(weight) for weight in model.parameters()]

found = {
    "python": random.random(), "python, own": random.Random().random(), "python, 42": random.Random(42).random(),
    "numpy": np.random.rand(), "numpy, own": np.random.default_rng().random(),
    "numpy, 42": np.random.default_rng(42).random(),
    "torch": bits(torch.randn(4)), "torch, own": bits(torch.randn(4, generator=torch.Generator())),
    "torch, 42": bits(torch.randn(4, generator=torch.Generator().manual_seed(42))),
    "trained": trained(), "solved": bits(torch.linalg.qr(torch.randn(40, 40))[0]),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def boxes() -> Iterator[dict[bool, Sandbox]]:
    """Warm and cold, at the best level."""
    with closing(open_sandbox()) as warm, closing(open_sandbox(warm=False)) as cold:
        yield {True: warm, False: cold}


def drawn(sandbox: Sandbox, salt: str) -> Any:
    salted = {salted_seeding.VARIABLE: salt, "PYTHONPATH": f"{{tree}}/{_PRELUDE_FOLDER}"} if salt else {}
    command = Command(
        "train.py",
        tree={"train.py": DRAWS.encode(), _PRELUDE: Path(salted_seeding.__file__).read_bytes()},
        limits=Limits(),
        prelude=_PRELUDE if salt else "",
        environment=salted,
        imports=("numpy", "torch"),
        warm=True,
    )
    with sandbox.start(command) as process:
        end = process.wait(120)
        assert end is not None
        assert end.status == 0, process.log
        assert process.warm == sandbox.warm
        return json.loads(process.log.splitlines()[-1])


@pytest.mark.slow
def test_warm_and_cold_give_the_same_bits(boxes: dict[bool, Sandbox]) -> None:
    """Honest twin: with one salt every draw and a small training are alike to the bit, warm, warm again and cold."""
    cold = drawn(boxes[False], "5")
    assert drawn(boxes[True], "5") == drawn(boxes[True], "5") == cold


def test_another_trial_has_other_luck(boxes: dict[bool, Sandbox]) -> None:
    """Attack: 42 written into the program, or no seed at all. No draw of one warm trial is found in another."""
    one, other = drawn(boxes[True], "5"), drawn(boxes[True], "6")
    for name in one:
        assert one[name] != other[name], name


def test_unsalted_programs_start_from_the_machines_entropy(boxes: dict[bool, Sandbox]) -> None:
    """Two forks of one interpreter do not draw the same where nobody seeds; where somebody does, they do."""
    one, other = drawn(boxes[True], ""), drawn(boxes[True], "")
    for name in ("python", "python, own", "numpy", "numpy, own", "torch"):
        assert one[name] != other[name], name
    for name in ("python, 42", "numpy, 42", "torch, 42", "trained"):
        assert one[name] == other[name], name
