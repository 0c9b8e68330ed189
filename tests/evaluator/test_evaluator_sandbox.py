"""Scores through the real sandbox: what the candidate's code finds there, in new interpreters and in forks of one."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from scoring_bench import FAST, EvaluatorBench, honest, source

from harness.errors import SandboxUnavailable
from harness.records import Level, Score, Split
from harness.sandbox.open import Sandbox, open_sandbox

WARM = FAST.__class__(warm=True, cuts=0, replays=0, random_rows=0)  # from one interpreter for all tests here


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        opened = open_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with closing(opened):
        yield opened


@pytest.fixture
def real(tmp_path: Path, sandbox: Sandbox) -> EvaluatorBench:
    bench = EvaluatorBench(tmp_path, sandbox)
    (bench.task.path / "train.py").write_text("import torch\n")  # what predictors import before they are asked
    (bench.data.public / "meta.json").write_text("{}")
    (bench.data.public / "train").mkdir()
    (bench.data.public / "train" / "text").write_text("training text")
    bench.data.public.chmod(0o755)
    tmp_path.chmod(0o755)
    return bench


def test_an_honest_artefact_is_scored_in_the_sandbox(real: EvaluatorBench, model) -> None:
    """Two fresh predictors and a referee of its own give the score; public data are there, training data are not."""
    body = f"""
import os
assert os.path.exists(os.path.join(data, "meta.json"))
assert not os.path.exists(os.path.join(data, "train", "text"))
assert not os.path.exists({str(real.data.private)!r})
for mode in ("r+b", "ab", "wb"):
    try:
        open(artefact, mode, buffering=0).write(b"changed")
    except OSError:
        continue
    raise AssertionError(mode)
return model
"""
    score = real.score(model, source(body))
    assert (score.status, score.reason, score.detail) == ("scored", "", "")
    assert score.side["audit.cuts"] == 150


def test_what_breaks_a_limit_is_the_candidates(real: EvaluatorBench, model, sandbox: Sandbox) -> None:
    """A predictor that eats the machine's memory is stopped, and that is its score."""
    if sandbox.level < Level.L1:
        pytest.skip("nothing limits memory here")
    real.profile = real.profile.__class__(seconds=5, memory_gib=1.0)
    body = "held = []\nwhile True:\n    held.append(torch.ones(1 << 24))\n"
    score: Score = real.score(model, source(body), WARM)
    assert (score.status, score.reason) == ("invalid", "predictor.memory")


def test_waiting_processes_are_used_and_ended(real: EvaluatorBench, model) -> None:
    """A second score finds its processes waiting; closing the evaluator leaves none."""
    evaluator = real.evaluator(WARM)
    try:
        evaluator.await_ready()
        waiting = [predictor.process for predictor in evaluator._pool._predictors]
        result = real.store(model)
        assert evaluator.score(result, honest(), Split.VAL).status == "scored"
        assert all(process.wait(0) is not None for process in waiting)
        fresh = [predictor.process for predictor in evaluator._pool._predictors]
        assert len(fresh) == 2
        assert not set(map(id, fresh)) & set(map(id, waiting))
    finally:
        evaluator.close()
    assert all(process.wait(0) is not None for process in fresh)


def test_a_launcher_that_is_killed_is_not_the_candidates_fault(real: EvaluatorBench, model) -> None:
    """Whoever ends processes of the referee's: the score is made once more."""
    evaluator = real.evaluator(WARM)
    try:
        evaluator.await_ready()
        launcher = evaluator._pool._predictors[0].process._launcher
        result = real.store(model)
        with ThreadPoolExecutor(1) as pool:
            score = pool.submit(evaluator.score, result, source("import time\ntime.sleep(2)\nreturn model"), Split.VAL)
            time.sleep(0.7)
            launcher.kill()
            found = score.result()
            assert (found.status, found.reason, found.detail) == ("scored", "", "")
    finally:
        evaluator.close()


def test_a_predictor_that_ends_itself_stays_the_candidates_fault(real: EvaluatorBench, model) -> None:
    score = real.score(model, source("import os\nos._exit(9)\n"), WARM)
    assert score.status == "invalid"
    assert score.reason in ("predictor.not_loaded", "predictor.crashed")  # seen by who asks, or by who waits
