"""The profile language_model in small: real code from download to nDCG, on stand-ins of a few kilobytes."""

import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_gpt2
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_modules import TASKS, load_modules

from harness.agents.api.patches import apply, read_patch
from harness.config.setup import load

FOLDER = TASKS / "query_expansion"
task = load_modules(FOLDER, "fetch", "prepare", "pairs", "evaluate", "words")
SMALL = {
    "ROWS": 8,
    "PROMPT_TOKENS": 12,
    "ANSWER_TOKENS": 6,
    "PASSES": 20,
    "LEARNING_RATE": 5e-3,
    "RESERVE_SECONDS": 1,
}
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """The modules see each other, and the pinned content is that of the stand-ins."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in vars(task).items():
            patch.setitem(sys.modules, name, module)
        yield patch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Path:
    """Prepared from a folder of downloads that holds everything."""
    folder = tmp_path_factory.mktemp("lm")
    patch.setenv("HARNESS_CACHE", str(folder))
    small_gpt2.write_all(folder / "downloads")
    for name in ("PAIRS", "WEIGHTS", "VOCABULARY", "MERGES"):
        pinned = getattr(task.pairs, name)
        digest = task.fetch.digest(folder / "downloads" / pinned.name)
        patch.setattr(task.pairs, name, replace(pinned, sha256=digest))
    digest = task.fetch.digest(folder / "downloads" / "nfcorpus.zip")
    patch.setitem(task.prepare.BEIR_SHA256, "nfcorpus", digest)
    task.prepare.prepare(folder / "public", folder / "private", b"secret", "language_model")
    return folder


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """train.py as a trial gets it: the profile's own among the task's readable files, with small sizes."""
    tree = tmp_path_factory.mktemp("tree")
    chosen = load(["task=query_expansion", "budget.profile=language_model"]).task
    for name, content in chosen.source().items():
        (tree / name).write_bytes(content)
    train = load_modules(tree, "train").train
    for name, value in SMALL.items():
        setattr(train, name, value)
    return train


@pytest.fixture(scope="module")
def trained(data: Path, candidate: Any) -> Path:
    """The folder that train.py wrote, from its command line."""
    out = data / "out"
    out.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["--data", data / "public", "--out", out, "--seed", 3, "--seconds", 120]
        patch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        candidate.main()
    return out


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def untrained(data: Path, candidate: Any) -> Any:
    torch.manual_seed(0)
    return candidate.GPT2(candidate.load_file(data / "public/gpt2.safetensors"))


def test_what_is_nearly_held_out_is_not_trained_on(data: Path) -> None:
    """In another order or with stop words a held-out query is still one; so much is dropped, and it is told."""
    held_out = [row["query"] for split in ("val", "test") for row in lines_of(data, split)]
    assert held_out
    stems = [set(task.words.tokens(query)) for query in held_out]
    for name in ("pairs", "queries"):
        rows = lines(data / f"public/train/{name}.jsonl")
        assert rows
        for row in rows:
            own = set(task.words.tokens(row["query"]))
            assert all(len(own & other) / len(own | other) < 0.8 for other in stems), row["query"]
    about = json.loads((data / "public/meta.json").read_text())
    assert about["template_pairs_dropped"] == 1
    assert about["pairs"] + about["near_pairs_dropped"] == 3 * small_gpt2.SUBJECTS + 2


def lines_of(data: Path, split: str) -> list[dict[str, Any]]:
    return json.loads((data / "private" / f"{split}.json").read_text())


@given(st.sets(st.text("ab c", max_size=5)), st.sets(st.text("ab c", max_size=5)))
def test_no_query_is_far_from_itself(queries: set[str], held_out: set[str]) -> None:
    """What is held out, is never kept; where nothing is held out, everything is."""
    assert not task.words.without_near(queries, held_out) & held_out
    assert task.words.without_near(queries, ()) == queries


def test_queries_are_words_that_an_expansion_may_hold(data: Path, subject: Any) -> None:
    """A collection's queries have capitals and marks; as they are asked, their own words are a valid expansion."""

    def unchanged(queries: list[str]) -> list[dict[str, float]]:
        return [dict.fromkeys(query.split(), 1.0) for query in queries]

    for split in ("val", "test"):
        assert task.evaluate.evaluate(subject(unchanged), data / "private", split)["gain_over_bm25"] == 0


def test_the_notice_names_every_licence(data: Path) -> None:
    """NFCorpus, the pairs and GPT-2."""
    notice = (data / "public/NOTICE.txt").read_text()
    assert all(word in notice for word in ("NFCorpus", "tobi/qmd", "GPT-2", "MIT"))


def test_fine_tuning_finds_what_the_index_cannot(
    data: Path, candidate: Any, trained: Path, subject: Any
) -> None:
    """No query shares a word with its document: BM25 finds nothing, and the pairs teach nearly everything."""
    expand = candidate.load_predictor(str(trained / "model.safetensors"), str(data / "public"))
    found = task.evaluate.evaluate(subject(expand), data / "private", "test")
    assert found["ndcg_bm25"] == 0
    assert found["ndcg"] > 0.8
    before = data / "before.safetensors"
    candidate.save_file(untrained(data, candidate).state_dict(), before)
    expand = candidate.load_predictor(str(before), str(data / "public"))
    assert task.evaluate.evaluate(subject(expand), data / "private", "test")["ndcg"] < 0.3


def test_the_loss_falls(trained: Path) -> None:
    claims = [row["loss"] for row in lines(trained / "claims.jsonl")]
    assert all(map(math.isfinite, claims))
    assert claims[-1] < 0.5 * claims[0]


def test_the_artefact_is_small_and_the_same_seed_gives_the_same(
    data: Path, candidate: Any, trained: Path
) -> None:
    """Adapters only; none of the published weights, which come from the public folder."""
    tensors = candidate.load_file(trained / "model.safetensors")
    assert tensors
    assert all(name.endswith((".down", ".up")) for name in tensors)
    assert any(tensor.abs().sum() > 0 for name, tensor in tensors.items() if name.endswith(".up"))
    text = candidate.Text(str(data / "public"))
    found = candidate.examples((data / "public/train/pairs.jsonl").read_text().splitlines(), text)
    ends = []
    for seed in (1, 1, 2):
        model = untrained(data, candidate)
        candidate.train(model, found[:16], text.end, seed, math.inf, data / "claims.jsonl")
        ends.append(torch.cat([value.flatten() for value in model.state_dict().values()]))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_time_ends_the_training(data: Path, candidate: Any) -> None:
    """After the deadline there is not one step."""
    model = untrained(data, candidate)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    candidate.train(model, [([1, 2], [3])] * 4, 0, 0, 0.0, data / "claims.jsonl")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# --- the model --------------------------------------------------------------------------------------------------


def by_hand(tensors: dict[str, np.ndarray], numbers: list[int]) -> np.ndarray:
    """GPT-2's logits [length, vocabulary] in float64: one position, one head and one layer after the other."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean()
        return (
            centred / np.sqrt((centred**2).mean() + 1e-5) * tensors[f"{name}.weight"]
            + tensors[f"{name}.bias"]
        )

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        weight = tensors[f"{name}.weight"]
        return (
            np.array([sum(x[i] * weight[i, o] for i in range(len(x))) for o in range(weight.shape[1])])
            + (tensors[f"{name}.bias"])
        )

    states = [
        tensors["wte.weight"][number] + tensors["wpe.weight"][place] for place, number in enumerate(numbers)
    ]
    width = len(states[0])
    for layer in range(small_gpt2.DEPTH):
        projected = [linear(norm(state, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn") for state in states]
        mixed = []
        for place in range(len(states)):
            heads = []
            for start in range(0, width, 64):
                query = projected[place][start : start + 64]
                keys = [projected[p][width + start : width + start + 64] for p in range(place + 1)]
                values = [projected[p][2 * width + start : 2 * width + start + 64] for p in range(place + 1)]
                powers = np.exp([query @ key / 8 for key in keys])
                heads.append(
                    sum(power * value for power, value in zip(powers / powers.sum(), values, strict=True))
                )
            mixed.append(linear(np.concatenate(heads), f"h.{layer}.attn.c_proj"))
        states = [state + more for state, more in zip(states, mixed, strict=True)]
        for place, state in enumerate(states):
            hidden = linear(norm(state, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc")
            hidden = 0.5 * hidden * (1 + np.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
            states[place] = state + linear(hidden, f"h.{layer}.mlp.c_proj")
    return np.array([norm(state, "ln_f") @ tensors["wte.weight"].T for state in states])


def test_the_model_is_gpt_2(candidate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published names and layout, two heads: the same logits as a computation by hand, before any training."""
    monkeypatch.setattr(small_gpt2, "WIDTH", 128)
    tensors = small_gpt2.weights(300, seed=5)
    numbers = [7, 299, 3, 3, 120]
    model = candidate.GPT2(tensors)
    with torch.no_grad():
        ours = model.logits(model(torch.tensor([numbers])))[0].numpy()
    wide = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    np.testing.assert_allclose(ours, by_hand(wide, numbers), rtol=1e-3, atol=1e-3)


def test_a_later_token_changes_nothing_before_it(candidate: Any) -> None:
    """Causality, which decoding in a padded row relies on; adapters included."""
    model = candidate.GPT2(small_gpt2.weights(300))
    for name, parameter in model.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter, std=0.1)
    first = torch.randint(0, 300, (4, 20), generator=torch.Generator().manual_seed(0))
    second = first.clone()
    second[:, 12:] = (second[:, 12:] + 1) % 300
    with torch.no_grad():
        one, other = model(first), model(second)
    assert torch.allclose(one[:, :12], other[:, :12], atol=1e-5)
    assert not torch.allclose(one[:, 12:], other[:, 12:], atol=1e-2)


def test_tokens_are_those_of_the_published_files(data: Path, candidate: Any) -> None:
    """A word with its space is one token here, and its number is the one in vocab.json."""
    numbers = json.loads((data / "downloads/gpt2-vocab.json").read_text())
    text = candidate.Text(str(data / "public"))
    space = chr(288)  # how the published files write a space
    assert text.end == numbers["<|endoftext|>"]
    assert text.answer(["clinaa", "layaa"]) == [numbers[f"{space}clinaa"], numbers[f"{space}layaa"], text.end]
    assert text.prompt("why layaa")[:3] == [text.end, numbers["why"], numbers[f"{space}layaa"]]
    longest = text.prompt("why " * 100)
    assert len(longest) == candidate.PROMPT_TOKENS
    assert longest[-3:] == text.prompt("why")[-3:]


# --- answers ----------------------------------------------------------------------------------------------------


def test_answers_do_not_depend_on_company(data: Path, candidate: Any, trained: Path) -> None:
    """Alone, in another order, beside longer ones: the same words, and weights equal to the third digit."""
    expand = candidate.load_predictor(str(trained / "model.safetensors"), str(data / "public"))
    queries = ["young " + word for word in small_gpt2.LAY] + ["a very long one " * 9, ""]
    together = expand(queries)
    for query, answer in zip(reversed(queries), expand(queries[::-1]), strict=True):
        assert answer == pytest.approx(together[queries.index(query)], abs=1e-3)
    for number in (0, 5, 20, 21):
        assert expand([queries[number]])[0] == pytest.approx(together[number], abs=1e-3)


@given(
    st.text("abc019 ", max_size=200),
    st.lists(st.tuples(st.text("abc01", max_size=80), st.floats(0, 1)), max_size=60),
)
def test_forbidden_expansions_never_arise(
    candidate: Any, query: str, guesses: list[tuple[str, float]]
) -> None:
    """Whatever the model says: at most 32 words, weights from 0 to 4, and the query's words weigh most."""
    weights = candidate.expansion(query, guesses)
    assert task.evaluate.checked(weights) is weights
    assert all(weights[word[:64]] >= 1 for word in query.split()[:32])


def test_an_answer_is_words_whatever_the_weights(data: Path, candidate: Any) -> None:
    """Random models, whose likeliest token is often half a letter in some other script: every answer is valid."""
    text = candidate.Text(str(data / "public"))
    for seed in range(3):
        model = candidate.GPT2(small_gpt2.weights(text.end + 1, seed)).eval()
        for query, guesses in zip(
            ["young layaa", "x"], candidate.written(model, text, ["young layaa", "x"]), strict=True
        ):
            assert all(re.fullmatch("[a-z0-9]*", word) and 0 <= chance <= 1 for word, chance in guesses)
            task.evaluate.checked(candidate.expansion(query, guesses))


def test_an_empty_artefact_is_refused(data: Path, candidate: Any, tmp_path: Path) -> None:
    """Without adapters there is no answer: what is missing is no zero."""
    candidate.save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        candidate.load_predictor(str(tmp_path / "model.safetensors"), str(data / "public"))


def test_placebo_deals_expansions_out_anew(data: Path, tmp_path: Path) -> None:
    """Queries and expansions stay, who has which does not."""
    task.prepare.placebo(data / "public/train", tmp_path, 1)
    before, after = (lines(folder / "pairs.jsonl") for folder in (data / "public/train", tmp_path))
    assert [row["query"] for row in before] == [row["query"] for row in after]
    assert sorted(row["lex"] for row in before) == sorted(row["lex"] for row in after)
    assert before != after


def test_a_pair_made_by_a_template_is_known(patch: pytest.MonkeyPatch) -> None:
    """ "overview" among the key words, unless it was asked for."""
    rows = [
        {"query": query, "output": [["lex", words], ["hyde", "an overview"]]}
        for query, words in (
            ("red sea", "red overview sea"),
            ("Overview of seas", "overview sea"),
            ("a", "b"),
        )
    ]
    assert [task.pairs.from_template(row) for row in rows] == [True, False, False]


def test_the_recorded_improvement_learns_from_the_collection(data: Path, tmp_path: Path) -> None:
    """replay/0001 on the data as prepared: one example more a training query, with words of its documents' titles."""
    source = load(["task=query_expansion", "budget.profile=language_model"]).task.source()
    patch = read_patch((FOLDER / "language_model/replay/0001-the-collections-own-queries.patch").read_bytes())
    for name, content in {**source, **apply(patch, source).files}.items():
        (tmp_path / name).write_bytes(content)
    train = load_modules(tmp_path, "train").train
    text = train.Text(str(data / "public"))
    training = {file.name: str(file) for file in (data / "public/train").iterdir()}
    found = train.from_collection(training, text)
    queries = [row["query"] for row in lines(data / "public/train/queries.jsonl")]
    assert [prompt for prompt, _ in found] == [text.prompt(query) for query in queries]
    place = next(place for place, query in enumerate(queries) if query.startswith("child lay"))
    number = small_gpt2.LAY.index(queries[place].split()[1])
    assert found[place][1] == text.answer([small_gpt2.CLINICAL[number], "study"])


@pytest.mark.slow
def test_the_task_keeps_the_contract_in_the_sandbox(data: Path, tmp_path: Path) -> None:
    """check_task on stand-ins, without a GPU: gate, clock, artefact, predictor and forgeries are the real ones."""
    from test_own_task import call

    folder = tmp_path / "tasks" / "small_gpt2"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("golden", "__pycache__"))
    change(folder / "pairs.py", {p.sha256: getattr(task.pairs, n).sha256 for n, p in published().items()})
    original = re.search(r'"nfcorpus": "(\w{64})"', (folder / "prepare.py").read_text())
    assert original
    change(folder / "prepare.py", {original[1]: task.prepare.BEIR_SHA256["nfcorpus"]})
    change(
        folder / "task.yaml",
        {"gpu: true": "gpu: false", "memory_gib: 24": "memory_gib: 3", "threads: 8": "threads: 1"},
    )
    constants = {
        re.search(rf"^{name} = \S+", (folder / "language_model/train.py").read_text(), re.MULTILINE)[
            0
        ]: f"{name} = {value}"  # type: ignore[index]
        for name, value in SMALL.items()
    }
    change(folder / "language_model/train.py", constants)
    shutil.copytree(data / "downloads", tmp_path / "cache" / "downloads")
    done = call(
        tmp_path, "harness.check_task", "small_gpt2", "budget.profile=language_model", "budget.seconds=60"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the task keeps the contract" in done.stdout


def published() -> dict[str, Any]:
    fresh = load_modules(FOLDER, "pairs").pairs
    return {name: getattr(fresh, name) for name in ("PAIRS", "WEIGHTS", "VOCABULARY", "MERGES")}


def change(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
