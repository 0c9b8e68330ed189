"""How often audits are wrong: over many honest artefacts never, over many leaking ones as often as was promised."""

import dataclasses
import math

import numpy as np
import pytest
from scoring_bench import LENGTH, EvaluatorBench, honest, source, text_rows, trained
from tiny_models import ARCHITECTURES

from harness.scoring import audits
from harness.scoring.evaluator import Scoring

DEFAULT = Scoring(warm=False)
LARGE_ROWS = 640  # the default 300 cuts fit


@pytest.mark.slow
def test_no_false_alarm_over_200_honest_artefacts(bench: EvaluatorBench) -> None:
    """Six architectures, untrained to trained, float32 and bfloat16 weights and logits: all accepted."""
    np.save(bench.data.private / "val.npy", text_rows(LARGE_ROWS, LENGTH, 2))
    alarms, largest = [], 0.0
    for number in range(204):
        architecture = ARCHITECTURES[number % len(ARCHITECTURES)]
        dtype = ("float32", "bfloat16")[number // 6 % 2]
        steps = (0, 1, 5, 20, 60, 200)[number // 12 % 6]
        model = trained(architecture, steps, seed=number, dtype=dtype)
        score = bench.score(model, honest(architecture, dtype), DEFAULT)
        largest = max(largest, score.side.get("audit.largest_change_nats", math.inf))
        if score.status != "scored":
            alarms.append((number, architecture, dtype, steps, score.reason, score.detail))
    print(f"largest change {largest:.2e} nats")
    assert alarms == []


@pytest.mark.slow
def test_a_leak_at_five_percent_of_the_positions_is_caught(bench: EvaluatorBench, model) -> None:
    """Planted at other positions each time, by the default audit size: at least 99 of 100 are caught."""
    np.save(bench.data.private / "val.npy", text_rows(LARGE_ROWS, LENGTH, 2))
    caught = 0
    for number in range(100):
        body = f"""
def predict(tokens):
    place = torch.arange(tokens.shape[1])
    where = (tokens * 31 + place * 17 + {number}) * 2654435761 % 1000 < 50
    ahead = torch.cat([tokens[:, 1:], tokens[:, :1]], 1)
    return model(tokens) + 6.0 * F.one_hot(ahead, 48) * where[..., None]
return predict
"""
        score = bench.score(model, source(body), dataclasses.replace(DEFAULT, random_rows=0))
        caught += score.status == "invalid" and score.reason == "audit.suffix"
    assert caught >= 99


def drawn(
    rows: int, length: int, cuts: int, replays: int, seed: int
) -> tuple[audits.Tokens, audits.AuditPlan]:
    random = np.random.default_rng(seed)
    tokens = text_rows(rows, length, seed)
    losses = random.exponential(2.0, (rows, length))
    return tokens, audits.draw(tokens, losses, cuts, replays, random)


@pytest.mark.parametrize(
    ("rows", "length", "cuts"), [(40, 8, 300), (400, 16, 100), (5, 2, 9), (1, 8, 9), (30, 1, 9)]
)
def test_no_text_reaches_the_cold_predictor_twice(rows: int, length: int, cuts: int) -> None:
    """Cut rows, replayed rows and donors are different rows; replaced text differs from the first token on."""
    tokens, plan = drawn(rows, length, cuts, 10, seed=5)
    used = [*plan.rows, *plan.replays, *plan.donors]
    assert len(set(used)) == len(used) <= rows
    assert len(plan.rows) <= max(1, rows // 2)
    inputs = audits.swapped(tokens, plan, np.random.default_rng(0))
    for row, position, new in zip(plan.rows, plan.positions, inputs, strict=True):
        assert 0 <= position < length - 1
        assert (new[: position + 1] == tokens[row, : position + 1]).all()
        assert new[position + 1] != tokens[row, position + 1]


def test_every_position_is_as_likely_to_be_cut() -> None:
    """The uniform half of the draw covers positions evenly: its bound holds for any set of leaking positions."""
    counts = np.zeros(7)
    for seed in range(300):
        _, plan = drawn(40, 8, 20, 0, seed)
        np.add.at(counts, plan.positions[: plan.uniform], 1)
    expected = counts.sum() / 7
    assert ((counts - expected) ** 2 / expected).sum() < 30  # chi-square, 6 degrees of freedom: p < 1e-4


def test_the_draw_by_gain_finds_a_rare_leak_that_pays() -> None:
    """A leak at 1 % of the positions that makes most of the gain is met by most draws of the other half."""
    hits = 0
    for seed in range(50):
        random = np.random.default_rng(seed)
        tokens = text_rows(200, 20, seed)
        losses = np.full((200, 20), 5.0)  # no better than token counts
        leaks = random.random((200, 20)) < 0.01
        losses[leaks] = 0.0
        plan = audits.draw(tokens, losses, 20, 0, random)
        hits += bool(leaks[plan.rows[plan.uniform :], plan.positions[plan.uniform :]].any())
    assert hits >= 49


def test_random_tokens_cannot_be_foreseen_by_an_honest_model() -> None:
    """The best that can be said about uniform tokens passes, in any number; a little less loss does not."""
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.ones(48), 4000)  # an honest, overconfident model
    tokens = random.integers(0, 48, 4000)
    audits.check_random(-np.log(chances[np.arange(4000), tokens]), 48)
    audits.check_random(np.full(4000, math.log(48)), 48)
    with pytest.raises(ValueError, match="foreseen"):
        audits.check_random(np.full(4000, math.log(48) - 0.01), 48)


def test_noise_of_its_own_does_not_widen_what_is_allowed_without_end() -> None:
    """A model that jitters on purpose reaches the cap, and then fails the replay."""
    tolerance = audits.tolerance_of("float32")
    assert tolerance.position(1e9) == tolerance.cap
    jitter = np.random.default_rng(0).normal(0, 0.05, (32, 128))
    with pytest.raises(ValueError, match="replayed"):
        audits.check_replay(jitter, tolerance)


def test_a_small_gain_everywhere_is_no_rounding() -> None:
    """Changes far below what one position may change are caught by their mean; symmetric ones are not."""
    random = np.random.default_rng(0)
    noise = [random.normal(0, 0.004, 20) for _ in range(150)]
    tolerance = audits.tolerance_of("float32")
    assert audits.check_suffix(noise, 0.015, tolerance) < 0.02
    with pytest.raises(ValueError, match="better"):
        audits.check_suffix([change + 0.004 for change in noise], 0.015, tolerance)
