"""The GPU's program of the language-model task, in small and on a CPU: what does not need the card."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

FILE = Path(__file__).parents[2] / "tasks" / "nanochat" / "gpu" / "train.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanochat_gpu_train", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


train = load()
BOS = 99
SETTINGS = dataclasses.replace(train.SETTINGS, depth=3, width=64, heads=2, context=16, rows=4, pairs=64)


def tokens_of(lengths: list[int]) -> np.ndarray:
    generator = np.random.default_rng(0)
    documents = [np.r_[BOS, generator.integers(0, BOS, length - 1)] for length in lengths]
    return np.concatenate(documents).astype(np.uint16)


def trained(seed: int, steps: int) -> tuple[torch.nn.Module, list[float]]:
    torch.set_num_threads(1)
    model, compiled, chosen = train.built(SETTINGS, 100, seed, "cpu")
    rows = train.Rows(tokens_of([40, 100, 17, 300]), BOS, SETTINGS, seed, "cpu")
    budget = train.Budget(SimpleNamespace(steps=steps, tokens=None), 1.0, 64)
    losses: list[float] = []
    assert train.train(model, compiled, chosen, rows, budget, lambda _, loss: losses.append(loss)) == steps
    return model, losses


def test_training_learns_and_every_loss_is_told() -> None:
    """Fixed work is done exactly; losses of steps that ran ahead are told at the end."""
    _, losses = trained(1, 40)
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


def test_same_seed_same_bits() -> None:
    """On one machine and device; another seed gives other weights."""
    first, again, other = (trained(seed, 5)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head"], other["head"])


def test_model_is_causal_and_rows_do_not_meet() -> None:
    """A logit depends on the tokens up to its own place in its own row, and on nothing else."""
    model, _ = trained(1, 10)
    rows = torch.randint(100, (4, 16))
    changed = rows.clone()
    changed[:, 9:] = torch.randint(100, (4, 7))
    changed[2] = torch.randint(100, (16,))
    one, other = model(rows), model(changed)
    kept = [0, 1, 3]
    assert torch.allclose(one[kept, :9], other[kept, :9], atol=1e-5)
    assert not torch.allclose(one[kept, 9:], other[kept, 9:], atol=1e-3)


def test_warm_up_before_the_gate_changes_no_weight() -> None:
    """What is done before billing starts teaches the model nothing, and the optimisers are new."""
    model, _, (adam, muon) = train.built(SETTINGS, 100, 7, "cpu")
    torch.manual_seed(train.BASE_SEED + 7)
    fresh = train.GPT(SETTINGS, 100).state_dict()
    assert all(torch.equal(fresh[name], weight) for name, weight in model.state_dict().items())
    assert not adam.state
    assert not any(average.any() for average in muon.averages)


def test_rows_begin_where_scored_rows_begin() -> None:
    """At a document's start or a multiple of the context from there; each once a pass, in another order."""
    tokens = tokens_of([40, 100, 17, 300])
    rows = train.Rows(tokens, BOS, dataclasses.replace(SETTINGS, rows=2), 1, "cpu")
    documents = ((0, 40), (40, 100), (140, 17), (157, 300))
    starts = [start + offset for start, length in documents for offset in range(0, length, 16)]
    last = len(tokens) - 17
    assert sorted(rows.starts.tolist()) == sorted(min(start, last) for start in starts)
    drawn = [row for _ in range(len(starts) // 2) for row in next(rows).tolist()]
    expected = sorted(tokens[start : start + 17].tolist() for start in rows.starts.tolist())
    assert sum(row in expected for row in drawn) == len(drawn)
    assert len({tuple(row) for row in drawn}) >= len({tuple(row) for row in expected}) - 1


def test_few_rows_are_repeated() -> None:
    """A text shorter than a batch still trains."""
    rows = train.Rows(tokens_of([20]), BOS, SETTINGS, 1, "cpu")
    assert next(rows).shape == (4, 17)


def test_muon_makes_singular_values_even() -> None:
    """Whatever the gradient's shape: all singular values near one, banks of matrices at once."""
    found = torch.linalg.svdvals(train.orthogonal(torch.randn(2, 3, 48, 16)))
    assert found.min() > 0.6
    assert found.max() < 1.4


@pytest.mark.parametrize(("seconds", "allowed"), [(1000.0, True), (0.0, False)])
def test_no_step_is_begun_that_may_not_end_in_time(seconds: float, allowed: bool) -> None:
    """Those that the GPU has still to do count as well."""
    budget = train.Budget(SimpleNamespace(steps=None, tokens=None), seconds, 64)
    assert budget.allows(10) is allowed
    assert train.Budget(SimpleNamespace(steps=None, tokens=130), 0.0, 64).allows(1)
    assert not train.Budget(SimpleNamespace(steps=None, tokens=130), 0.0, 64).allows(2)


def test_artefact_has_the_weights(tmp_path: Path) -> None:
    """What is written and read again answers as the model did, to 16 bits; saving is measured and leaves nothing."""
    model, _ = trained(1, 10)
    assert train.seconds_of_saving(model, 100, tmp_path) > 0
    assert not list(tmp_path.iterdir())
    train.save(model, 100, tmp_path)
    forward = train.load_predictor(str(tmp_path / "model.safetensors"), "")
    rows = torch.randint(100, (2, 16))
    assert torch.allclose(forward(rows).cpu(), model(rows), atol=0.2)
