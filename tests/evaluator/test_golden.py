"""Stored artefacts reproduce stored scores to 1e-6."""

import json
from pathlib import Path

import pytest
from scoring_bench import FAST, MODELS, EvaluatorBench, honest

from harness.errors import UserError
from harness.scoring.evaluator import SandboxEvaluator
from harness.task import golden


@pytest.fixture
def stored(bench: EvaluatorBench, model) -> EvaluatorBench:
    """A task with a golden artefact and the code that made it."""
    folder = Path(bench.task.folder) / "golden"
    folder.mkdir()
    bench.store(model)
    (bench.folder / "artefacts" / "model.safetensors").rename(folder / "model.safetensors")
    tree = honest()["train.py"].decode().replace("import tiny_models\n", "")
    inline = MODELS.decode() + tree.replace("tiny_models.load", "load")
    (folder / "train.py").write_text(inline)
    bench.task.path.joinpath("train.py").write_text("raise SystemExit('changed since')")
    about = {"profile": "cpu", "split": "val", "artefact": "model.safetensors", "value": 0.0}
    about["value"] = golden.measure(bench.task, about, opener(bench)).value
    (folder / "score.json").write_text(json.dumps(about))
    return bench


def opener(bench: EvaluatorBench):
    def open_evaluator(profile: str, folder: Path) -> SandboxEvaluator:
        return SandboxEvaluator(
            bench.sandbox, bench.task, bench.data, bench.task.profiles[profile], folder, FAST
        )

    return open_evaluator


def test_a_golden_score_is_reproduced(stored: EvaluatorBench) -> None:
    """The same artefact, with the code stored beside it, scores the same."""
    assert golden.check(stored.task, opener(stored)) == []


def test_a_score_that_moved_is_told(stored: EvaluatorBench) -> None:
    """A difference of more than 1e-6, or no score at all, is one line."""
    file = golden.golden_folder(stored.task) / "score.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "value": about["value"] + 2e-6}))
    (line,) = golden.check(stored.task, opener(stored))
    assert line.startswith("score.json: stored")
    (file.parent / "train.py").write_text("raise OSError")
    (line,) = golden.check(stored.task, opener(stored))
    assert "predictor.not_loaded" in line


@pytest.mark.parametrize(
    "text", ["{", '{"artefact": "x"}', '{"artefact": "x", "split": "train", "value": 1}']
)
def test_a_damaged_golden_folder_is_the_users(stored: EvaluatorBench, text: str) -> None:
    """One line that names the file."""
    (golden.golden_folder(stored.task) / "score.json").write_text(text)
    with pytest.raises(UserError, match="not a golden score"):
        golden.check(stored.task, opener(stored))


def test_a_task_without_golden_artefacts_has_no_problem(bench: EvaluatorBench) -> None:
    """The folder is optional."""
    assert golden.check(bench.task, opener(bench)) == []
