"""The torch script of docs/training_script.md, before and after, as a reader would follow it."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.docs.conftest import Type, page, write


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    """A user's folder with every file of the page, and the data that it makes."""
    write(page("training_script.md").files, tmp_path)
    subprocess.run([sys.executable, "make_signals.py"], cwd=tmp_path, check=True)
    return tmp_path


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"page_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_script_after_learns_as_well_as_the_one_before(signals: Path, tmp_path: Path) -> None:
    """Before: validated on everything, best epoch. After: its files alone, without a session, on half of the rows."""
    before = subprocess.run(
        [sys.executable, "before.py"], cwd=signals, check=True, capture_output=True, text=True
    )
    task, public, private = signals / "tasks/signals", tmp_path / "public", tmp_path / "private"
    private.mkdir()
    loaded(task / "prepare.py").prepare(public, private, b"s" * 32)
    options = ["--data", public, "--out", tmp_path, "--seed", "1", "--seconds", "60"]
    subprocess.run([sys.executable, task / "train.py", *options], check=True)
    answers = loaded(task / "train.py").load_predictor(str(tmp_path / "model.safetensors"), None)
    score = loaded(task / "evaluate.py").evaluate(SimpleNamespace(answers=answers), private, "val")
    assert score["loss"] == pytest.approx(float(before.stdout), rel=0.2)
    assert len(score["items"]["values"]) == pytest.approx(1000, rel=0.15)


@pytest.mark.slow
def test_the_torch_task_passes_its_check_and_copies_are_tried(signals: Path, type_in: Type) -> None:
    """As the page's last block says. The second copy in replay/ takes nothing back of the first, kept or not."""
    task = signals / "tasks/signals"
    text = (task / "train.py").read_text()
    for name, old, new in (
        ("0001-wider", "HIDDEN = 16", "HIDDEN = 64"),
        ("0002-faster", "RATE = 1e-3", "RATE = 5e-3"),
    ):
        (task / "replay" / name).mkdir(parents=True)
        (task / "replay" / name / "train.py").write_text(text.replace(old, new))
    checked = type_in("harness check-task signals", signals).stdout
    assert "FAIL" not in checked
    assert "no trial can read those" in checked
    said = type_in("harness task=signals budget.certificate=2 session.tag=signals", signals).stdout
    assert "proposal 1: 0001-wider" in said
    assert "session ended: the agent has no more proposals" in said
    patch = (signals / "sessions/signals/patches/0002.patch").read_text()
    assert "+RATE = 5e-3" in patch
    assert "-HIDDEN" not in patch
