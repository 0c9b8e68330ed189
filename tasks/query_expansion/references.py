"""Reference lines of the task, computed by simple methods: python references.py [--split val] [--oracle]

BM25: the query as it is. RM3: feedback from the first documents that BM25 finds. Model 1: IBM's word translation
model (Brown et al. 1993) from lay words to the words of a term's name, five rounds of EM on the training queries.
Oracle: the best up to three words taken from a relevant document, chosen with the answers in view: a ceiling.
"""

import argparse
import collections
import json
import tempfile
from pathlib import Path

import numpy as np
from evaluate import Index, measures
from prepare import prepare
from words import tokens

Weights = dict[str, float]
NOTHING = "<null>"
GOLDEN_SECRET = b"golden: no secret, and never drawn with for a trial"  # the split that golden/ is scored on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", default="val")
    parser.add_argument("--oracle", action="store_true", help="minutes long")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        public, private = Path(folder, "public"), Path(folder, "private")
        prepare(public, private, GOLDEN_SECRET)
        lines(public, private, arguments.split, arguments.oracle)


def lines(public: Path, private: Path, split: str, with_oracle: bool) -> None:
    bench = Bench(private, split)
    show("bm25", bench.ndcg([plain(query) for query in bench.queries]))
    feedback = Feedback(public, bench.index)
    show("rm3", bench.ndcg([feedback.expand(query) for query in bench.queries]))
    table = model_1(public)
    words = spoken(public)
    show("model_1", bench.ndcg([translated(query, table, words) for query in bench.queries]))
    if with_oracle:
        show("oracle", oracle(bench, words))


def show(name: str, ndcg: np.ndarray) -> None:
    print(
        f"{name}: {ndcg.mean():.4f} (standard error over {len(ndcg)} queries {ndcg.std() / len(ndcg) ** 0.5:.4f})"
    )


def plain(query: str) -> Weights:
    return {term: float(count) for term, count in collections.Counter(query.split()).items()}


def spoken(public: Path) -> dict[str, str]:
    """Stem -> a word that has it: the stem of a stem is often another one, so stems are no words to ask for."""
    return {tokens(word)[0]: word for word in json.loads((public / "vocabulary.json").read_text())}


class Bench:
    """Judged queries and the index. Unlike evaluate.py it takes any number of words and any weight."""

    def __init__(self, private: Path, split: str) -> None:
        self.index = Index(private)
        rows = json.loads((private / f"{split}.json").read_text())
        self.queries = [row["query"] for row in rows]
        self.relevant = [set(row["relevant"]) for row in rows]

    def ndcg(self, expansions: list[Weights]) -> np.ndarray:
        rankings = self.index.rank(expansions)
        return np.array([measures(*pair)[0] for pair in zip(rankings, self.relevant, strict=True)])


class Feedback:
    """RM3 (Abdul-Jaleel et al. 2004): the first five documents' ten best words get a fifth of the weight."""

    DOCUMENTS, TERMS, SHARE = 5, 10, 0.2

    def __init__(self, public: Path, index: Index) -> None:
        lines = (public / "train" / "documents.jsonl").read_text().splitlines()
        documents = [json.loads(line) for line in lines]
        self.texts = [" ".join([d["name"], d["definition"], *d["synonyms"]]).lower() for d in documents]
        self.index = index
        self.spoken = spoken(public)

    def expand(self, query: str) -> Weights:
        own = plain(query)
        found = self.index.rank([own])[0][: self.DOCUMENTS]
        scores = (self.index.matrix([own]) @ self.index.scores).toarray()[0][found]
        words: collections.Counter[str] = collections.Counter()
        for document, score in zip(found, scores, strict=True):
            counts = collections.Counter(tokens(self.texts[document]))
            for term, count in counts.items():
                words[self.spoken[term]] += score / scores.sum() * count / counts.total()
        best = words.most_common(self.TERMS)
        # Weights are relative; times four they stay within the contract's bounds and keep float32 exact enough.
        expanded = {word: 4 * (1 - self.SHARE) * weight / sum(own.values()) for word, weight in own.items()}
        for word, weight in best:
            share = 4 * self.SHARE * weight / sum(w for _, w in best)
            expanded[word] = expanded.get(word, 0.0) + share
        return expanded


def model_1(public: Path, rounds: int = 5) -> dict[str, dict[str, float]]:
    """p(word of the name | word of the lay query), by expectation maximisation with a null word."""
    documents = {}
    for line in (public / "train" / "documents.jsonl").read_text().splitlines():
        document = json.loads(line)
        documents[document["id"]] = tokens(document["name"])
    pairs = []
    for line in (public / "train" / "queries.jsonl").read_text().splitlines():
        row = json.loads(line)
        pairs += [([*tokens(row["query"]), NOTHING], documents[identity]) for identity in row["relevant"]]
    table: dict[str, dict[str, float]] = collections.defaultdict(
        lambda: collections.defaultdict(lambda: 1e-3)
    )
    for _ in range(rounds):
        counts: dict[str, dict[str, float]] = collections.defaultdict(lambda: collections.defaultdict(float))
        for lay, name in pairs:
            for word in name:
                chances = [(source, table[source][word]) for source in lay]
                total = sum(chance for _, chance in chances)
                for source, chance in chances:
                    counts[source][word] += chance / total
        table = collections.defaultdict(lambda: collections.defaultdict(lambda: 1e-9))
        for source, row in counts.items():
            total = sum(row.values()) + 1.0  # a pseudo-count against words that were seen once
            table[source].update({word: count / total for word, count in row.items()})
    return table


def translated(query: str, table: dict[str, dict[str, float]], words: dict[str, str]) -> Weights:
    weights = plain(query)
    for word, count in plain(query).items():
        for term in tokens(word):
            best = sorted(table[term].items(), key=lambda entry: -entry[1])[:5] if term in table else []
            for other, chance in best:
                if chance > 0.05:
                    weights[words[other]] = weights.get(words[other], 0.0) + chance * count
    return weights


def oracle(bench: Bench, words: dict[str, str], most_queries: int = 300) -> np.ndarray:
    terms = {number: term for term, number in bench.index.numbers.items()}
    by_document = bench.index.scores.tocsc()
    results = []
    for query, relevant in zip(bench.queries[:most_queries], bench.relevant, strict=False):
        numbers = {number for document in relevant for number in by_document[:, document].indices}
        rarest = sorted(numbers, key=lambda number: bench.index.scores[number].nnz)[:20]
        weights = plain(query)
        best = measures(bench.index.rank([weights])[0], relevant)[0]
        for _ in range(3):
            tries = [{**weights, words[terms[number]]: 1.0} for number in rarest]
            values = [measures(ranking, relevant)[0] for ranking in bench.index.rank(tries)]
            if best < 1 and max(values) > best:
                best, weights = max(values), tries[int(np.argmax(values))]
        results.append(best)
    return np.array(results)


if __name__ == "__main__":
    main()
