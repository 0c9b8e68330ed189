"""What static guards leave to trials as doubtful gains nothing: twenty fresh seeds each, against the unmodified one."""

import importlib.util
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from guard_table import FIXTURES, line_of_guards
from guard_table import doubts as doubts_of

from harness.records import Evidence

BASE = (FIXTURES / "digits.py").read_text(encoding="utf-8")
STEPS, TRIALS = 120, 20
GENERATOR = "    generator = np.random.default_rng([BASE_SEED, seed])\n"
DOUBTFUL = {
    "from a generator": f"{GENERATOR}    generator = np.random.default_rng(generator.integers(137))\n",
    "another stream": f"{GENERATOR}    generator = np.random.default_rng([BASE_SEED, seed, 137])\n",
    "a spawned stream": f"{GENERATOR}    generator = generator.spawn(3)[2]\n",
    "the next seed": f"{GENERATOR}    generator = np.random.default_rng(seed + 95)\n",
}


def losses(text: str, folder: Path, first_seed: int) -> list[float]:
    """The last training loss of trials at fresh seeds, on made-up pictures."""
    file = folder / f"digits_{first_seed}.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train: Callable[..., tuple[object, int, float]] = module.train
    data = np.random.default_rng(11)
    labels = data.integers(0, 10, 400)
    images = np.clip(data.normal(128, 60, (400, 64)) + 12 * labels[:, None], 0, 255).astype(np.uint8)
    seeds = range(first_seed, first_seed + TRIALS)
    return [train(images, labels, seed, lambda step: step / STEPS)[2] for seed in seeds]


@pytest.mark.parametrize("name", sorted(DOUBTFUL))
def test_a_doubtful_stream_is_no_better_than_the_harness_s(name: str, tmp_path: Path) -> None:
    """It is marked, its mean over 20 fresh seeds is the baseline's, and no two trials repeat each other."""
    text = BASE.replace(GENERATOR, DOUBTFUL[name])
    evidence = Evidence("static", ("train.py",), {"train.py": BASE.encode()}, {"train.py": text.encode()})
    assert doubts_of(evidence, line_of_guards())
    own, theirs = losses(text, tmp_path, 5_000), losses(BASE, tmp_path, 9_000)
    error = math.sqrt((statistics.variance(own) + statistics.variance(theirs)) / TRIALS)
    assert abs(statistics.fmean(own) - statistics.fmean(theirs)) < 4 * error, "chance of 1 in 10,000"
    assert len(set(own)) == TRIALS or name == "from a generator"  # 137 streams: two of 20 may meet
