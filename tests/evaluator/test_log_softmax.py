"""The scorer's own log-softmax, against double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from harness.scoring.log_softmax import LossWorkers, NotFinite, target_losses


@given(st.integers(1, 40), st.integers(1, 70), st.floats(0.01, 300.0), st.integers(0, 10_000))
def test_losses_equal_double_precision(rows: int, classes: int, scale: float, seed: int) -> None:
    """For small and huge logits alike, and never below zero by more than rounding."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, scale, (rows, classes)).astype(np.float32)
    targets = random.integers(0, classes, rows)
    expected = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(rows), targets]
    losses = target_losses(logits, targets)
    assert losses == pytest.approx(expected, rel=1e-6, abs=2e-6)
    assert losses.min() > -1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_not_finite_is_noticed(bad: float) -> None:
    """Wherever it stands."""
    logits = np.zeros((9, 7), np.float32)
    logits[8, 6] = bad
    with pytest.raises(NotFinite):
        target_losses(logits, np.zeros(9, np.int64))


@pytest.mark.parametrize("target", [-1, 7])
def test_a_target_must_be_a_class(target: int) -> None:
    """No index wraps around."""
    with pytest.raises(IndexError):
        target_losses(np.zeros((1, 7), np.float32), np.array([target]))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_gpu_gives_the_same_losses(dtype: str) -> None:
    """From the same bytes."""
    import torch

    from harness.scoring.log_softmax_gpu import GpuLosses

    logits = torch.randn(5000, 8192).mul(5).to(getattr(torch, dtype))
    content = memoryview(logits.view(torch.uint8).numpy()).cast("B")
    targets = np.arange(5000)
    plain = LossWorkers(2).losses(content, dtype, 8192, targets)
    assert GpuLosses().losses(content, dtype, 8192, targets) == pytest.approx(plain, abs=5e-6)
