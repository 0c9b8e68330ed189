"""Predictors that forge the number itself: attack group A, each beside an honest one of the same shape."""

import dataclasses

import pytest
from scoring_bench import FAST, EvaluatorBench, bench, honest, local_referee, model, source

from harness.records import Score

__all__ = ["bench", "local_referee", "model"]

INVALID = {
    # A2: the loss it would like to have, instead of logits
    "a_loss_instead_of_logits": ("predictor.shape", "return lambda tokens: torch.zeros(tokens.shape)"),
    "one_number": ("predictor.shape", "return lambda tokens: torch.tensor(0.3)"),
    "an_empty_answer": ("predictor.shape", "return lambda tokens: torch.zeros(0, 32, 48)"),
    "more_classes_than_allowed": ("predictor.shape", "return lambda tokens: F.pad(model(tokens), (0, 1))"),
    "fewer_classes_than_tokens": ("predictor.shape", "return lambda tokens: model(tokens)[..., :40]"),
    "classes_that_change": (
        "predictor.shape",
        "calls = []\nreturn lambda tokens: (calls.append(1), model(tokens)[..., : 48 - len(calls) // 3])[1]",
    ),
    "a_float_type_that_changes": (
        "predictor.dtype",
        "calls = []\nkinds = [torch.float32, torch.bfloat16]\n"
        "return lambda tokens: (calls.append(1), model(tokens).to(kinds[len(calls) > 2]))[1]",
    ),
    # A11: what an average that skips NaN would leave out
    "nan_where_it_is_hard": (
        "predictor.not_finite",
        "return lambda tokens: model(tokens).masked_fill((tokens == 5)[..., None], float('nan'))",
    ),
    "infinite_confidence": (
        "predictor.not_finite",
        "return lambda tokens: model(tokens).masked_fill((tokens == 5)[..., None], float('inf'))",
    ),
    "minus_infinity": (
        "predictor.not_finite",
        "return lambda tokens: model(tokens).masked_fill((tokens == 5)[..., None], -float('inf'))",
    ),
    "a_list": ("predictor.crashed", "return lambda tokens: [0.1]"),
    "an_exception": ("predictor.crashed", "def predict(tokens):\n    raise SystemExit(0)\nreturn predict"),
    "a_silent_end": ("predictor.crashed", "import os\nreturn lambda tokens: os._exit(0)"),
    "nothing_to_call": ("predictor.crashed", "return None"),
    "a_failing_start": ("predictor.not_loaded", "raise ValueError('no model')"),
    "no_answer": ("predictor.timeout", "import time\nreturn lambda tokens: time.sleep(60)"),
    "no_start": ("predictor.timeout", "import time\ntime.sleep(60)"),
    # A7: its own messages on the channel
    "a_forged_score": (
        "predictor.bad_message",
        "import os, predictor_wire, socket, sys\n"
        "own = socket.socket(fileno=os.dup(int(sys.argv[1])))\n"
        "def predict(tokens):\n"
        "    predictor_wire.send(own, {'op': 'score', 'status': 'scored', 'value': 0.1})\n"
        "    return model(tokens)\n"
        "return predict",
    ),
    "noise_on_the_channel": (
        "predictor.bad_message",
        "import os, socket, sys\nown = socket.socket(fileno=os.dup(int(sys.argv[1])))\n"
        "return lambda tokens: (own.send(b'\\xff[['), model(tokens))[1]",
    ),
}

HARMLESS = {
    # A1, A3, A4: what is printed or patched here reaches nobody
    "prints_a_score": "print('val_bpb: 0.5', flush=True)\nreturn model",
    "patches_the_loss": (
        "import math\nimport numpy\nF.cross_entropy = lambda *a, **k: torch.tensor(0.1)\n"
        "numpy.log = math.log = lambda x: 0.0\nreturn model"
    ),
    # A6: no target lies in this process
    "overwrites_what_it_finds": (
        "import gc\ncalls = []\ndef predict(tokens):\n    logits = model(tokens)\n    calls.append(1)\n"
        "    for found in gc.get_objects() if len(calls) < 4 else ():  # looking takes a second\n"
        "        if type(found) is torch.Tensor and found.dtype == torch.int64 and not found.requires_grad:\n"
        "            found.zero_()\n    return logits\nreturn predict"
    ),
    # A9: only bytes cross
    "a_tensor_subclass": (
        "class Cheap(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, types, a=(), k=None):\n"
        "        r = super().__torch_function__(f, types, a, k or {})\n"
        "        return r * 0.9 if f is F.cross_entropy else r\n"
        "return lambda tokens: model(tokens).as_subclass(Cheap)"
    ),
    # A12: the scorer normalises, so a constant is worth nothing
    "unnormalised_by_a_constant": "return lambda tokens: model(tokens) + 25.0",
    "padded_to_no_gain": "return lambda tokens: model(tokens).clone()",
}


@pytest.mark.parametrize("name", INVALID)
def test_a_broken_contract_is_invalid(bench: EvaluatorBench, model, name: str) -> None:
    """Wrong shapes, non-finite values, crashes, silence and forged messages are the candidate's worst score."""
    reason, body = INVALID[name]
    quick = (
        dataclasses.replace(FAST, startup_seconds=1.5, batch_seconds=0.1, seconds_per_token=1e-4)
        if "timeout" in reason
        else FAST
    )
    score = bench.score(model, source(body), quick)
    assert (score.status, score.value, score.reason) == ("invalid", None, reason), score.detail


@pytest.fixture
def plain(bench: EvaluatorBench, model, scores: list[Score]) -> Score:
    """Of the honest twin."""
    if not scores:
        scores.append(bench.score(model, honest()))
    return scores[0]


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    """What has been scored once for all tests here."""
    return []


@pytest.mark.parametrize("name", HARMLESS)
def test_what_happens_in_the_predictor_changes_no_number(
    bench: EvaluatorBench, model, plain: Score, name: str
) -> None:
    """Printing, patching, scanning memory and subclassing score exactly what the honest twin scores."""
    score = bench.score(model, source(HARMLESS[name]))
    assert (score.status, score.detail) == ("scored", "")
    assert score.value == pytest.approx(plain.value, abs=2e-6)


def test_shared_memory_that_changes_while_it_is_read_gains_nothing(
    bench: EvaluatorBench, model, plain: Score
) -> None:
    """A thread that rewrites the answer under the scorer's eyes leaves an invalid score or no better one."""
    body = """
import gc, mmap, threading
def rewrite():
    buffers = [found for found in gc.get_objects() if isinstance(found, mmap.mmap)]
    while True:
        for buffer in buffers:
            view = torch.frombuffer(buffer, dtype=torch.float32)[:1024 * 48]
            view[::2].neg_()  # a change that cannot help by itself, as a scale might
def predict(tokens):
    if not started:
        started.append(threading.Thread(target=rewrite, daemon=True))
        started[0].start()
    return model(tokens)
started = []
return predict
"""
    score = bench.score(model, source(body))
    assert score.status == "invalid" or score.value > plain.value - 1e-6


def test_a_failing_predictor_cannot_carry_held_out_text_out(bench: EvaluatorBench, model) -> None:
    """What it says after it has seen inputs is in no field of the score (agents read those); before, it is."""
    late = bench.score(
        model, source("def predict(tokens):\n    raise ValueError('seen', tokens.sum())\nreturn predict")
    )
    assert late.reason == "predictor.crashed"
    assert "seen" not in late.detail
    assert "seen" in (bench.folder / "logs" / "t-1.predictor.log").read_text()
    early = bench.score(model, source("raise ValueError('a wrong shape')"))
    assert "a wrong shape" in early.detail


def test_every_batch_has_one_shape(bench: EvaluatorBench, model) -> None:
    """A19: nothing about a batch says that it is an audit: a predictor that refuses a second shape is content."""
    body = """
shapes = set()
def predict(tokens):
    shapes.add(tuple(tokens.shape))
    assert len(shapes) == 1, shapes
    assert tokens.min() >= 0
    return model(tokens)
return predict
"""
    score = bench.score(model, source(body))
    assert (score.status, score.detail) == ("scored", "")


def test_a_predictor_learns_neither_split_nor_labels(bench: EvaluatorBench, model) -> None:
    """Environment, arguments, open files and messages name no split, and the last target is never sent."""
    body = """
import json, os, sys
words = json.dumps([sys.argv, dict(os.environ)])
assert "private" not in words
assert "split" not in words
def predict(tokens):
    assert tokens.shape[1] == 32  # rows have 33 tokens
    return model(tokens)
return predict
"""
    score = bench.score(model, source(body))
    assert (score.status, score.detail) == ("scored", "")
