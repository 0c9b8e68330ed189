"""Logits that stay on the GPU: the score is what it was, and nothing but the slots is shared."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scoring_bench import FAST, EvaluatorBench, source

from harness.records import Score, Split
from harness.sandbox.open import open_sandbox
from harness.scoring.evaluator import SandboxEvaluator
from harness.scoring.log_softmax import LossWorkers, NotFinite

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("classes", [7, 2048, 8192, 50257])
def test_one_pass_gives_the_losses_of_the_processor(dtype: str, classes: int) -> None:
    """For every type and a number of classes that fills no block; huge logits included."""
    from harness.scoring.log_softmax_gpu import GpuLosses

    logits = torch.randn(333, classes).mul(30).to(getattr(torch, dtype))
    logits[0, 3], logits[1] = 6e4, -6e4
    content = memoryview(logits.view(torch.uint8).numpy()).cast("B")
    targets = np.random.default_rng(0).integers(0, classes, 333)
    workers = GpuLosses()
    assert workers._in_one_pass is not None
    plain = LossWorkers(2).losses(content, dtype, classes, targets)
    assert workers.losses(content, dtype, classes, targets) == pytest.approx(plain, abs=2e-5, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_not_finite_is_noticed_there(bad: float) -> None:
    """Wherever it stands."""
    from harness.scoring.log_softmax_gpu import GpuLosses

    logits = torch.zeros(9, 3000)
    logits[8, 2999] = bad
    content = memoryview(logits.view(torch.uint8).numpy()).cast("B")
    with pytest.raises(NotFinite):
        GpuLosses().losses(content, "float32", 3000, np.zeros(9, np.int64))


def test_the_score_is_the_one_of_logits_that_crossed_the_bus(tmp_path: Path, model) -> None:
    """In the real sandbox, with both predictors; the audits look at the same answers."""
    on_gpu = "return lambda tokens, net=model.cuda(): net(tokens.cuda())"
    scores = {}
    for name in (True, False):
        scores[name] = _scored(tmp_path / str(name), model, source(on_gpu), on_device=name)
        assert scores[name].status == "scored", scores[name]
        assert scores[name].side["scoring.on_device"] == float(name)
    assert scores[True].value == pytest.approx(scores[False].value, abs=1e-6)


def test_a_predictor_that_answers_from_the_processor_is_scored(tmp_path: Path, model) -> None:
    """Where its logits are is its own affair."""
    score = _scored(tmp_path / "cpu", model, source("return model"), on_device=True)
    assert (score.status, score.side["scoring.on_device"]) == ("scored", 0.0)


@pytest.mark.parametrize("body", ["return lambda tokens: model.cuda()(tokens.cuda())[:, :-1]"])
def test_a_wrong_shape_there_is_the_candidates_fault(tmp_path: Path, model, body: str) -> None:
    """As everywhere."""
    score = _scored(tmp_path / "shape", model, source(body), on_device=True)
    assert (score.status, score.reason) == ("invalid", "predictor.shape")


def test_a_look_at_what_follows_is_caught_there(tmp_path: Path, model) -> None:
    """The attack of the audits: an answer that moves with the text after it."""
    body = """
net = model.cuda()
def forward(tokens):
    logits = net(tokens.cuda())
    return logits + 4 * torch.nn.functional.one_hot(tokens.roll(-1, 1), logits.shape[-1]).cuda()
return forward
"""
    score = _scored(tmp_path / "ahead", model, source(body), on_device=True)
    assert (score.status, score.reason) == ("invalid", "audit.random_tokens")  # it foresees those, too


def _scored(folder: Path, model, tree, *, on_device: bool) -> Score:
    folder.mkdir()
    made = EvaluatorBench(folder, open_sandbox())
    made.data.public.chmod(0o755)
    folder.chmod(0o755)
    profile = dataclasses.replace(made.profile, gpu=True, memory_gib=24.0)
    settings = dataclasses.replace(FAST, on_device=on_device)
    evaluator = SandboxEvaluator(made.sandbox, made.task, made.data, profile, folder, settings, 0)
    try:
        return evaluator.score(made.store(model), tree, Split.VAL)
    finally:
        evaluator.close()
