"""Scores of honest artefacts, and whose fault a failure is."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scoring_bench import FAST, EvaluatorBench, ForkSandbox, honest, source, trained
from tiny_models import ARCHITECTURES

from harness.records import Split


def plain_bits(model: torch.nn.Module, rows: np.ndarray) -> float:
    """Bits per byte, computed the obvious way in double precision."""
    tokens = torch.from_numpy(rows).long()
    with torch.no_grad():
        losses = F.cross_entropy(model(tokens[:, :-1]).double().flatten(0, 1), tokens[:, 1:].flatten())
    return float(losses) / math.log(2) / 1.5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bits_per_byte_equal_a_plain_computation(bench: EvaluatorBench, architecture: str) -> None:
    """An honest artefact of any causal architecture scores what it is worth, to 1e-6, and passes every audit."""
    model = trained(architecture, 10)
    score = bench.score(model, honest(architecture))
    assert (score.status, score.reason, score.detail) == ("scored", "", "")
    assert score.value == pytest.approx(plain_bits(model.eval(), bench.rows), abs=1e-6)
    assert score.side["audit.cuts"] == 150


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_logits_travel_in_their_own_type(bench: EvaluatorBench, dtype: str) -> None:
    """Half precision is scored from its own bits; wider floats are rounded to float32."""
    kind = getattr(torch, dtype)
    model = trained("gpt", 10)
    score = bench.score(model, source(f"return lambda tokens: model(tokens).to(torch.{dtype})"))
    assert (score.status, score.detail) == ("scored", "")
    rounded = lambda tokens: model(tokens).to(kind)  # noqa: E731 -- a model is anything that can be called
    assert score.value == pytest.approx(plain_bits(rounded, bench.rows), abs=1e-6)


def test_packets_where_memory_cannot_be_shared(bench: EvaluatorBench, model) -> None:
    """The fallback gives the same number as shared memory."""
    shared = bench.score(model, honest())
    packets = bench.score(model, honest(), dataclasses.replace(FAST, shared_memory=False))
    assert packets.status == shared.status == "scored"
    assert packets.value == pytest.approx(shared.value, abs=1e-9)


def test_several_threads_give_the_same_number(bench: EvaluatorBench, model) -> None:
    """How many threads do the log-softmax changes nothing."""
    assert bench.score(model, honest(), dataclasses.replace(FAST, threads=3)).value == pytest.approx(
        bench.score(model, honest()).value, abs=1e-9
    )


def test_the_sealed_split_is_read_only_when_asked_for(bench: EvaluatorBench, model) -> None:
    """Screening works without the sealed file; the certificate's split gives its own score."""
    sealed = bench.data.private / "test.npy"
    test = bench.score(model, honest(), split=Split.TEST)
    assert test.value == pytest.approx(plain_bits(model, np.load(sealed)), abs=1e-6)
    sealed.unlink()
    assert bench.score(model, honest()).status == "scored"


def test_audits_are_as_many_as_the_rows_allow(bench: EvaluatorBench, model) -> None:
    """Not more than every second row is cut; the bound that is reported follows the number that was drawn."""
    score = bench.score(model, honest(), dataclasses.replace(FAST, cuts=100_000))
    assert score.side["audit.cuts"] == len(bench.rows) // 2
    assert score.side["audit.leak_bound"] == pytest.approx(3 / (len(bench.rows) // 4))


def test_a_predictor_writes_nowhere_but_in_its_folder(bench: EvaluatorBench, model, tmp_path: Path) -> None:
    """What a predictor unpacks lies below the folder that its sandbox names, and goes with it, killed or not."""
    assert bench.score(model, honest()).status == "scored"
    assert bench.score(model, source("import os; os.kill(os.getpid(), 9)")).status == "invalid"
    assert len(list(tmp_path.glob("source*/train.py"))) >= 2


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_few_rows_are_scored_too(bench: EvaluatorBench, model, count: int) -> None:
    """A held-out set of a handful of rows works."""
    np.save(bench.data.private / "val.npy", bench.rows[:count])
    score = bench.score(model, honest())
    assert (score.status, score.detail) == ("scored", "")
    assert score.value == pytest.approx(plain_bits(model, bench.rows[:count]), abs=1e-6)


@pytest.mark.usefixtures("local_referee")
def test_several_calls_with_rows_of_several_lengths(tmp_path: Path, model) -> None:
    """evaluate.py may ask in parts; every part is audited."""
    evaluate = b"""
import numpy as np

def evaluate(subject, private, split):
    rows = np.load(private / f"{split}.npy")
    parts = [subject.losses(rows[:100]), subject.losses(rows[100:, :17]), subject.losses(rows[:0])]
    return {"bpb": sum(float(part.sum()) for part in parts)}
"""
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), evaluate=evaluate)
    score = bench.score(model, honest())
    assert (score.status, score.detail) == ("scored", "")
    assert score.side["audit.cuts"] > 100
    attack = "return lambda tokens: model(tokens) + 6.0 * F.one_hot(tokens.roll(-1, 1), 48) * (tokens.shape[1] < 20)"
    assert bench.score(model, source(attack)).status == "invalid"


FAULTS = {
    "an_exception": "raise RuntimeError('labels are missing')",
    "a_value_error": "raise ValueError('cannot reshape')",
    "an_early_end": "raise SystemExit(0)",
    "no_metric": "return {'other': 1.0}",
    "not_a_number": "return {'bpb': float('nan')}",
    "tokens_out_of_range": "return {'bpb': float(subject.losses(np.full((2, 9), 48)).sum())}",
    "rows_of_floats": "return {'bpb': float(subject.losses(np.zeros((2, 9))).sum())}",
}


@pytest.mark.usefixtures("local_referee")
@pytest.mark.parametrize("name", FAULTS)
def test_a_bug_in_evaluate_is_never_held_against_the_candidate(tmp_path: Path, model, name: str) -> None:
    """Whatever evaluate.py does wrong is an infrastructure failure."""
    evaluate = f"import numpy as np\n\ndef evaluate(subject, private, split):\n    {FAULTS[name]}\n"
    score = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), evaluate=evaluate.encode()).score(model, honest())
    assert (score.status, score.value, score.reason.split(".")[0]) == ("infra_failed", None, "evaluator")


@pytest.mark.usefixtures("local_referee")
def test_a_fault_stays_one_when_evaluate_catches_it(tmp_path: Path, model) -> None:
    """An evaluate.py that swallows the predictor's fault does not turn it into a score."""
    evaluate = b"""
def evaluate(subject, private, split):
    try:
        subject.losses([[1, 2, 3]])
    except ValueError:
        pass
    return {"bpb": 1.0}
"""
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), evaluate=evaluate)
    assert bench.score(model, source("return lambda tokens: None")).reason == "predictor.crashed"


def test_an_artefact_that_is_gone_is_ours(bench: EvaluatorBench, model) -> None:
    """Losing our own copy is an infrastructure failure."""
    result = bench.store(model)
    (bench.folder / result.artefact).unlink()
    assert bench.evaluator().score(result, honest(), Split.VAL).status == "infra_failed"


@pytest.mark.usefixtures("local_referee")
def test_changing_what_evaluate_was_given_changes_no_audit(tmp_path: Path, model) -> None:
    """evaluate.py gets copies: dividing losses in place does not make the audits see a difference."""
    evaluate = b"""
import numpy as np

def evaluate(subject, private, split):
    losses = subject.losses(np.load(private / "val.npy"))
    losses /= 2
    return {"bpb": float(losses.mean())}
"""
    assert (
        EvaluatorBench(tmp_path, ForkSandbox(tmp_path), evaluate=evaluate).score(model, honest()).status
        == "scored"
    )
