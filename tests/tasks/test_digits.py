"""The digits task: its data, its metric and its program, as plain functions."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.task.golden import GOLDEN_SECRET

FOLDER = Path(__file__).parents[2] / "tasks" / "digits"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"digits_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare, evaluate, train = load("prepare"), load("evaluate"), load("train")


class Subject:
    """What evaluate.py is given, without a sandbox in between."""

    def __init__(self, answers: Callable[[list], list]) -> None:
        self.answers = answers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    prepare.prepare(folder / "public", folder / "private", GOLDEN_SECRET)
    return folder


def score(data: Path, answers: Callable[[list], list], split: str = "val") -> dict[str, float]:
    return evaluate.evaluate(Subject(answers), data / "private", split)


def test_prepare_is_the_same_every_time(data: Path, tmp_path: Path) -> None:
    """Two machines with one secret work on the same pictures."""
    prepare.prepare(tmp_path / "public", tmp_path / "private", GOLDEN_SECRET)
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        assert (tmp_path / file.relative_to(data)).read_bytes() == file.read_bytes()


def test_held_out_pictures_cannot_be_drawn_without_the_secret(data: Path, tmp_path: Path) -> None:
    """Attack: prepare.py with a secret of one's own. Training pictures are the same, no held-out one is."""
    prepare.prepare(tmp_path / "public", tmp_path / "private", b"guessed")
    for name in ("images.npy", "labels.npy"):
        own, ours = (folder / "public/train" / name for folder in (tmp_path, data))
        assert own.read_bytes() == ours.read_bytes()
    own, ours = (
        {
            row.tobytes()
            for split in ("val", "test")
            for row in np.load(folder / f"private/{split}_images.npy")
        }
        for folder in (tmp_path, data)
    )
    assert not own & ours


def test_reordering_keeps_every_picture_with_its_label(data: Path, tmp_path: Path) -> None:
    """The same pairs, in the order of the seed, and the prepared data stay as they are."""
    pairs = {}
    before = (data / "public/train/images.npy").read_bytes()
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        (tmp_path / name).mkdir()
        prepare.reorder(data / "public/train", tmp_path / name, seed)
    for name, folder in (
        ("train", data / "public/train"),
        *((path.name, path) for path in tmp_path.iterdir()),
    ):
        images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
        pairs[name] = [(label, row.tobytes()) for label, row in zip(labels.tolist(), images, strict=True)]
    assert pairs["one"] == pairs["again"] != pairs["other"]
    assert sorted(pairs["one"]) == sorted(pairs["other"]) == sorted(pairs["train"])
    assert (data / "public/train/images.npy").read_bytes() == before


def test_public_data_hold_no_held_out_picture(data: Path) -> None:
    """No picture of val or test is among those that a trial can read."""
    training = {row.tobytes() for row in np.load(data / "public/train/images.npy")}
    for split in ("val", "test"):
        held_out = np.load(data / f"private/{split}_images.npy")
        assert not [row for row in held_out if row.tobytes() in training]
    assert sorted(path.name for path in (data / "public").iterdir()) == ["meta.json", "train"]


def test_uniform_answers_score_the_logarithm_of_ten(data: Path) -> None:
    """The metric is the mean negative log-likelihood in nats, whatever constant is added to the logits."""
    assert score(data, lambda items: [[7] * 10 for _ in items])["log_loss"] == pytest.approx(np.log(10))


@pytest.mark.parametrize(
    "answer",
    [[0.0] * 9, [0.0] * 9 + [float("nan")], [0.0] * 9 + ["1"], [0.0] * 9 + [True], "0123456789", None],
)
def test_answers_of_another_form_are_refused(data: Path, answer: object) -> None:
    """A candidate that breaks the contract is told so and gets no score."""
    with pytest.raises(ValueError, match=r"logit|answer"):
        score(data, lambda items: [answer for _ in items])
    with pytest.raises(ValueError, match="answers for"):
        score(data, lambda items: [[0.0] * 10 for _ in items[1:]])


def test_golden_artefact_keeps_its_score(data: Path) -> None:
    """Data, metric and predictor together give the stored score on every machine."""
    stored = json.loads((FOLDER / "golden/score.json").read_text())
    predictor = train.load_predictor(str(FOLDER / "golden/weights.safetensors"), str(data / "public"))
    found = score(data, predictor)
    for name, value in {"log_loss": stored["value"], **stored["side"]}.items():
        assert found[name] == pytest.approx(value, abs=stored["tolerance"])


def test_same_seed_gives_the_same_bits_for_the_same_steps(data: Path) -> None:
    """With fixed work the program is deterministic, and its seed matters."""
    images, labels = np.load(data / "public/train/images.npy"), np.load(data / "public/train/labels.npy")
    first, again, other = (train.train(images, labels, seed, lambda step: step / 50)[0] for seed in (5, 5, 6))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["w1"], other["w1"])


def test_placebo_keeps_the_shape_and_nothing_to_learn(data: Path, tmp_path: Path) -> None:
    """On shuffled labels the trained program is no better than a guess."""
    prepare.placebo(data / "public/train", tmp_path, 1)
    images, labels = np.load(tmp_path / "images.npy"), np.load(tmp_path / "labels.npy")
    assert sorted(labels) == sorted(np.load(data / "public/train/labels.npy"))
    weights, _, _ = train.train(images, labels, 0, lambda step: step / 500)
    found = score(data, lambda items: train.forward(weights, train.features(items))[1].tolist())
    assert found["log_loss"] > np.log(10) - 0.02


def test_program_works_outside_the_harness(data: Path, tmp_path: Path) -> None:
    """A person can start train.py by hand: it leaves an artefact that scores far better than a guess."""
    command = [
        sys.executable,
        str(FOLDER / "train.py"),
        "--data",
        str(data / "public"),
        "--out",
        str(tmp_path),
    ]
    subprocess.run([*command, "--seed", "0", "--seconds", "0.5"], check=True, capture_output=True)
    assert load_file(tmp_path / "weights.safetensors")
    assert json.loads((tmp_path / "claims.jsonl").read_text())["step"] > 0
    predictor = train.load_predictor(str(tmp_path / "weights.safetensors"), str(data / "public"))
    assert score(data, predictor)["log_loss"] < 1.5
