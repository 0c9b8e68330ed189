"""Processes of scores are ended and started beside what follows, and nothing that goes wrong there is lost."""

import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from scoring_bench import FAST, EvaluatorBench, ForkSandbox, honest

from harness.errors import InfrastructureError
from harness.records import Split
from harness.sandbox.open import Command
from harness.scoring.log_softmax import LossWorkers
from harness.scoring.subjects import TokenSubject
from harness.scoring.warm_pool import WarmPool

WARM = FAST.__class__(warm=True, cuts=150, batch_tokens=1024)


class Held:
    """Is closed when it is let go, with an error if it has one."""

    def __init__(self, error: str = "") -> None:
        self.go, self.error = threading.Event(), error

    def close(self) -> None:
        self.go.wait(20)
        if self.error:
            raise InfrastructureError(self.error)


def pool() -> WarmPool:
    return WarmPool(types.SimpleNamespace(), Command(script=""), predictors=0, threads=1, warm=False)


def test_ending_is_not_waited_for_and_shows_until_it_is_over() -> None:
    """`dispose` returns at once; the pool is settled when what it ends is gone."""
    made, used = pool(), Held()
    made.overlap(lambda: None)
    made.dispose([used])
    assert not made.settled
    used.go.set()
    made.close()
    assert made.settled


def test_what_goes_wrong_is_told_at_the_next_score() -> None:
    """A process that cannot be killed is an infrastructure failure, however late it is found out."""
    made, used = pool(), Held("could not be killed")
    used.go.set()
    made.overlap(lambda: None)
    made.dispose([used])
    with pytest.raises(InfrastructureError, match="could not be killed"):
        made.take()
    made.close()


def test_without_overlap_everything_is_over_when_a_score_is(
    local_referee: None, tmp_path, model: torch.nn.Module
) -> None:
    """Commands that measure outside a session have nothing under way beside what they do next."""
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path))
    evaluator = bench.evaluator()
    assert evaluator.score(bench.store(model), honest(), Split.VAL).status == "scored"
    assert evaluator._pool.settled
    evaluator.close()


def test_scores_beside_each_other_use_fresh_processes(
    local_referee: None, tmp_path, model: torch.nn.Module
) -> None:
    """Two predictors a score, new for each, and the same value as ever."""
    sandbox = ForkSandbox(tmp_path)
    bench = EvaluatorBench(tmp_path, sandbox)
    evaluator = bench.evaluator(WARM)
    settled, result = evaluator.overlap(), bench.store(model)
    values = [evaluator.score(result, honest(), Split.VAL).value for _ in range(2)]
    while not settled():
        time.sleep(0.01)
    assert sandbox.started == 6  # four were used, two wait
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert values[0] == pytest.approx(bench.score(model, honest()).value, abs=1e-6)
    evaluator.close()


@pytest.mark.parametrize(("clock", "beside"), [("cpu", True), ("wall", False)])
def test_the_next_ones_are_started_while_a_score_is_made(
    local_referee: None,
    tmp_path: Path,
    model: torch.nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    clock: str,
    beside: bool,
) -> None:
    """Where CPU time is billed: no other clock may have work beside what it times. The value is the same."""
    sandbox = ForkSandbox(tmp_path)
    bench = EvaluatorBench(tmp_path, sandbox)
    bench.profile = bench.profile.__class__(seconds=5, clock=clock)
    plain = bench.score(model, honest()).value
    evaluator = bench.evaluator(WARM)
    settled, result, ask = evaluator.overlap(), bench.store(model), evaluator._ask
    before, while_asked = sandbox.started, []

    def asked(*about: Any) -> dict[str, Any]:
        answer = ask(*about)
        while not settled():
            time.sleep(0.01)
        while_asked.append(sandbox.started - before)
        return answer

    monkeypatch.setattr(evaluator, "_ask", asked)
    assert evaluator.score(result, honest(), Split.VAL).value == pytest.approx(plain, abs=1e-6)
    assert while_asked == [2 if beside else 0]
    while not settled():
        time.sleep(0.01)
    assert sandbox.started - before == 2
    evaluator.close()


@pytest.mark.parametrize(
    ("classes", "length", "rows"), [(2048, 128, 4), (16, 128, 32), (50_000, 128, 4), (2048, 4096, 1)]
)
def test_batches_are_small_where_processor_time_is_billed(classes: int, length: int, rows: int) -> None:
    """Wide logits come in batches that stay near the processor, narrow ones as many tokens as a slot takes.

    On a wall clock a pause of the machine's in a small batch would look like work that was put off: not there.
    """
    main = types.SimpleNamespace(question_bytes=4 * 4096, answer_bytes=4 * classes * 4096)
    sizes = {
        small: TokenSubject(
            main, lambda: main, classes, FAST, LossWorkers(1), small_batches=small
        )._batch_rows(64 * 4096 // length, length)
        for small in (True, False)
    }
    assert sizes == {True: rows, False: 4096 // length}
