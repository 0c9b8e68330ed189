"""Candidates that want to end a session, or to carry held-out inputs out of the evaluator: invalid, in fixed words."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scoring_bench import (
    FAST,
    EvaluatorBench,
    ForkSandbox,
    LocalReferee,
    honest,
    local_referee,
    model,
    source,
)

from harness.records import Observation, Outcome, Role, Score
from harness.scoring import warm_pool
from harness.scoring.reasons import SENTENCES
from harness.scoring.settings import Scoring

__all__ = ["local_referee", "model"]

EVALUATE = b"""
import json, sys
import numpy as np

def evaluate(subject, private, split):
    items = [f"the held-out text number {number}" for number in range(200)]
    answers = subject.answers(items)
    if not all(isinstance(answer, list) for answer in answers):
        raise ValueError("an answer is a list of numbers")
    for item, answer in zip(items, answers):
        if len(answer) != 1:
            raise ValueError(f"{answer!r} is no answer to {item!r}")
    return {"bpb": float(np.array(answers, np.int64).mean()), "error": 0.0}
"""
PLAIN = "return lambda items: [[len(item)] for item in items]"
HEAD = "def load_predictor(artefact, data):\n    import json\n"


def tree(body: str) -> dict[str, bytes]:
    return {"train.py": (HEAD + "".join(f"    {line}\n" for line in body.strip().splitlines())).encode()}


@pytest.fixture
def items(tmp_path: Path, local_referee: None) -> EvaluatorBench:
    """A task whose evaluate.py has scored one honest artefact before."""
    del local_referee
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=EVALUATE)
    assert bench.score(b"2", tree(PLAIN)).status == "scored"
    return bench


BREAKING = {
    # B1 and its kind: what evaluate.py did not reckon with
    "a_huge_number": ("predictor.bad_message", "return lambda items: [[10 ** 400] for _ in items]"),
    "beyond_64_bits": ("predictor.bad_message", "return lambda items: [[1 << 64] for _ in items]"),
    "another_type": ("evaluation.failed", "return lambda items: [[{}] for _ in items]"),
    "nothing_in_it": ("evaluation.failed", "return lambda items: [[None] for _ in items]"),
    "infinity": ("predictor.bad_message", "return lambda items: [[float('inf')] for _ in items]"),
    "deep": (
        "predictor.bad_message",
        "deep = []\nfor _ in range(500):\n    deep = [deep]\nreturn lambda items: [deep for _ in items]",
    ),
    # B3: memory
    "megabytes": ("predictor.answer_size", "return lambda items: [['x' * (1 << 18)] for _ in items]"),
    "very_many_values": ("predictor.bad_message", "return lambda items: [[0] * 30000 for _ in items]"),
    # B2: words that were sent to it
    "text": ("artefact.rejected", "return lambda items: list(items)"),
    "its_own_inputs_in_a_list": (
        "artefact.rejected",
        "return lambda items: [list(items[:2]) for _ in items]",
    ),
    "an_exception": ("predictor.crashed", "def answers(items):\n    raise ValueError(items)\nreturn answers"),
    "another_number_of_answers": ("predictor.shape", "return lambda items: items[: len(items[0]) % 7]"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_an_evaluation_is_the_candidates(items: EvaluatorBench, name: str) -> None:
    """Not a failure of ours, which would end the session; and nothing of it or of the inputs is quoted."""
    reason, body = BREAKING[name]
    score = items.score(b"2", tree(body))
    assert (score.status, score.value, score.reason) == ("invalid", None, reason), score.detail
    assert score.detail in {*SENTENCES.values(), "an answer is a list of numbers"}
    assert "held-out text" not in json.dumps([score.detail, dict(score.side)])


def test_for_people_the_reason_is_in_the_logs(items: EvaluatorBench) -> None:
    """What may not reach an agent is not lost."""
    items.score(b"2", tree(BREAKING["its_own_inputs_in_a_list"][1]))
    assert "held-out text" in (items.folder / "logs" / "t-1.predictor.log").read_text()


def test_honest_answers_of_the_same_form_are_scored(items: EvaluatorBench) -> None:
    """The twin of all above: lists of whole numbers, the largest that fit among them."""
    body = "return lambda items: [[(1 << 62) if item.endswith('9') else len(item)] for item in items]"
    score = items.score(b"2", tree(body))
    assert (score.status, score.detail) == ("scored", "")


def test_a_failure_with_every_artefact_is_ours(tmp_path: Path, local_referee: None) -> None:
    """An evaluate.py that breaks for all, from one day to the next, is nobody's worst score."""
    del local_referee
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=EVALUATE)
    assert bench.score(b"2", tree(PLAIN)).status == "scored"
    (bench.task.path / "evaluate.py").write_bytes(EVALUATE.replace(b"np.array", b"np.no_such_function"))
    score = bench.score(b"2", tree(PLAIN))
    assert (score.status, score.reason) == ("infra_failed", "evaluator.failed")


def test_a_golden_artefact_tells_as_well(tmp_path: Path, local_referee: None) -> None:
    """Before anything was scored in this session, the task's own artefact says whose fault it is."""
    del local_referee
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="items", evaluate=EVALUATE)
    body = tree(BREAKING["another_type"][1])
    assert bench.score(b"2", body).status == "infra_failed"  # nothing to compare with
    golden = bench.task.path / "golden"
    golden.mkdir()
    (golden / bench.task.artefact).write_bytes(b"2")
    (golden / "train.py").write_bytes(tree(PLAIN)["train.py"])
    assert bench.score(b"2", body).reason == "evaluation.failed"


DATA = b"""
def evaluate(subject, private, split):
    rows = [list(range(subject["size"])) for _ in range(subject["rows"])]
    while subject.get("endless"):
        pass
    return {"bpb": float(len(rows))}
"""


@pytest.fixture
def data(tmp_path: Path) -> EvaluatorBench:
    """evaluate.py reads the artefact itself, in the referee's own process, which is a real one here."""
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path), predictor="none", evaluate=DATA)
    assert warm_pool.RefereeProcess is not LocalReferee
    (bench.task.path / "golden").mkdir()
    (bench.task.path / "golden" / bench.task.artefact).write_bytes(b'{"size": 1, "rows": 2}')
    return bench


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("evaluation.memory", b'{"size": 300000000, "rows": 1}'),
        ("evaluation.time", b'{"size": 1, "rows": 1, "endless": true}'),
        ("artefact.unreadable", b'{"size": ' + b"[]" * 10 + b"}"),
        ("artefact.unreadable", b"[" + b"{}," * (8 << 20) + b"{}]"),
    ],
)
def test_the_referees_own_process_has_limits(data: EvaluatorBench, reason: str, content: bytes) -> None:
    """Memory and time that a candidate makes evaluate.py use are bounded, and are the candidate's doing."""
    tight = dataclasses.replace(FAST, evaluate_memory_gib=1.0, evaluate_seconds=8.0)
    score = data.score(content, {}, tight)
    assert (score.status, score.reason) == ("invalid", reason), score.detail


def reference(side: dict[str, float]) -> Observation:
    return Observation("b-1", "c", Role.BASELINE, 1, Outcome.COMPLETED, 1.0, side=side)


def test_an_artefact_much_larger_than_the_baselines_is_refused(items: EvaluatorBench) -> None:
    """Where training data travel in the artefact; one of eight times the size, and a small one anyway, pass."""
    usual = Scoring().floor_artefact_mib * (1 << 20)
    small: Score = items.score(b"2", tree(PLAIN))
    before = [reference({**small.side, "inference.artefact_bytes": usual})]
    assert items.score(b" " * int(8 * usual - 1) + b"2", tree(PLAIN), baseline=before).status == "scored"
    score = items.score(b" " * int(8 * usual) + b"2", tree(PLAIN), baseline=before)
    assert (score.status, score.reason) == ("invalid", "artefact.size")
    assert items.score(
        b" " * int(usual - 1) + b"2", tree(PLAIN), baseline=[reference(dict(small.side))]
    ).value


def noisy(leak: float, share: float, noise: float) -> dict[str, bytes]:
    """Logits with `leak` on the true next token at a share of the places, and noise that depends on the batch."""
    return source(f"""
def predict(tokens):
    logits = model(tokens)
    place = torch.arange(tokens.shape[1])
    where = (tokens * 31 + place * 17) * 2654435761 % 1000 < {1000 * share}
    ahead = torch.cat([tokens[:, 1:], tokens[:, :1]], 1)
    generator = torch.Generator().manual_seed(int(tokens.sum()))
    jitter = torch.rand(logits.shape, generator=generator) * 2 - 1
    return logits + {leak} * F.one_hot(ahead, 48) * where[..., None] + {noise} * jitter
return predict
""")


@pytest.fixture
def tokens(tmp_path: Path, local_referee: None) -> EvaluatorBench:
    del local_referee
    return EvaluatorBench(tmp_path, ForkSandbox(tmp_path))


@pytest.mark.parametrize(
    ("leak", "share", "noise"), [(0.22, 0.15, 0.06), (0.22, 0.15, 0.1), (1.0, 0.02, 0.12)]
)
def test_noise_of_its_own_hides_no_leak(
    tokens: EvaluatorBench, model, leak: float, share: float, noise: float
) -> None:
    """A6: what an answer may change by is fixed by rounding and by the baseline, not by the candidate's own noise."""
    score = tokens.score(model, noisy(leak, share, noise))
    assert (score.status, score.reason.split(".")[0]) == ("invalid", "audit"), score.side


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_rounding_that_depends_on_the_batch_passes(tokens: EvaluatorBench, model, noise: float) -> None:
    """The twin: bfloat16's last place at logits of 4 to 8 is 1/32; a baseline without noise does not forbid it."""
    before = [reference({**tokens.score(model, honest()).side})]
    score = tokens.score(model, noisy(0.0, 0.0, noise), baseline=before)
    assert (score.status, score.reason, score.detail) == ("scored", "", ""), score.side


def test_rounding_in_sixteen_bits_by_batches_of_the_models_own_passes(tokens: EvaluatorBench, model) -> None:
    """A real one: computed in bfloat16, in parts whose sizes depend on what is in the batch."""
    body = """
half = model.to(torch.bfloat16)
def predict(tokens):
    parts = tokens.split(1 + int(tokens.sum()) % 7)
    return torch.cat([half(part) for part in parts]).float()
return predict
"""
    score = tokens.score(model, source(body))
    assert (score.status, score.reason, score.detail) == ("scored", "", ""), score.side


def test_the_baselines_noise_alone_widens_what_is_allowed() -> None:
    """Up to a bound; less noise than that of 16 bits changes nothing."""
    from harness.scoring.audits import tolerance_of

    plain, wide = tolerance_of("float32"), tolerance_of("float32", 0.05)
    assert plain.position(9.0) == 0.1 == tolerance_of("bfloat16", 0.01).position(0.0)
    assert wide.position(9.0) == pytest.approx(0.2)
    assert tolerance_of("float32", 9.0).position(9.0) == 0.25
    assert np.isclose(plain.position(0.0), 0.02)
