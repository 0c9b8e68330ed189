"""Scores an expander: its weighted words are put to a trusted BM25 index, which ranks; nDCG@10 is the metric.

Runs in a process of the referee. The expander sees queries only, in an order of chance; the index, the answers and
the arithmetic are here.
"""

import collections
import json
import math
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse

sys.path.insert(0, str(Path(__file__).resolve().parent))
from words import tokens

DEPTH = 10
MOST_TERMS = 32
MOST_WEIGHT = 4.0
QUERIES_PER_CALL = 128
RESAMPLES = 2000
NEAR_TRAINING = 0.5  # of a query's stems are those of one training query

Weights = dict[str, float]


def evaluate(subject, private: Path, split: str) -> dict:
    """subject.answers(list of queries) gives a list of {word: weight}. Raises ValueError for a bad expansion."""
    index = Index(private)
    rows = json.loads((private / f"{split}.json").read_text())
    relevant = [set(row["relevant"]) for row in rows]
    queries = [row["query"] for row in rows]
    start = time.monotonic()
    expansions = [checked(expansion) for expansion in in_random_order(subject, queries)]
    seconds = time.monotonic() - start
    measured = [
        measures(ranking, answer) for ranking, answer in zip(index.rank(expansions), relevant, strict=True)
    ]
    plain = [dict(collections.Counter(query.split())) for query in queries]
    bm25 = [measures(ranking, answer)[0] for ranking, answer in zip(index.rank(plain), relevant, strict=True)]
    ndcg, recall, reciprocal_rank = np.mean(measured, axis=0)
    return {
        "ndcg": float(ndcg),
        "recall_at_10": float(recall),
        "mrr": float(reciprocal_rank),
        "terms_per_query": float(np.mean([len(expansion) for expansion in expansions])),
        "milliseconds_per_query": 1000 * seconds / len(queries),
        **slices(rows, [row[0] for row in measured]),
        **against(np.array([row[0] for row in measured]), np.array(bm25)),
        "items": {"what": "queries", "values": [row[0] for row in measured]},
    }


def slices(rows: list[dict], ndcg: list[float]) -> dict[str, float]:
    """The metric on queries that share no word with their answers, and on those near to or far from training."""
    chosen = {
        "no_overlap": [not row["overlap"] for row in rows],
        "near_training": [row["near_training"] >= NEAR_TRAINING for row in rows],
        "far_from_training": [row["near_training"] < NEAR_TRAINING for row in rows],
    }
    return {
        f"ndcg_{name}": float(np.mean([value for value, taken in zip(ndcg, mask, strict=True) if taken]))
        for name, mask in chosen.items()
        if any(mask)
    }


def in_random_order(subject, queries: list[str]) -> list[object]:
    """Answers in the order of `queries`, asked in another: the n-th question says nothing about the n-th answer."""
    order = list(range(len(queries)))
    random.SystemRandom().shuffle(order)
    answers: list[object] = [None] * len(queries)
    for start in range(0, len(order), QUERIES_PER_CALL):
        batch = order[start : start + QUERIES_PER_CALL]
        for position, answer in zip(batch, subject.answers([queries[i] for i in batch]), strict=True):
            answers[position] = answer
    return answers


def checked(expansion: object) -> Weights:
    """The expansion, if it keeps the contract; ValueError says what is wrong."""
    if not isinstance(expansion, dict) or len(expansion) > MOST_TERMS:
        raise ValueError(f"an expansion is a dict of at most {MOST_TERMS} words")
    for word, weight in expansion.items():
        if not isinstance(word, str) or not re.fullmatch(r"[a-z0-9]{1,64}", word):
            raise ValueError(f"{str(word)[:80]!r} is not one lower-case word of a-z and 0-9")
        if type(weight) not in (int, float) or not math.isfinite(weight) or not 0 <= weight <= MOST_WEIGHT:
            raise ValueError(
                f"weight {str(weight)[:80]} of {word!r} is not a number from 0 to {MOST_WEIGHT:g}"
            )
    return expansion


class Index:
    """BM25 (bm25s, k1 1.2, b .75) as made by prepare.py: scores of every term in every document."""

    def __init__(self, private: Path) -> None:
        terms = json.loads((private / "terms.json").read_text())
        self.numbers = {term: number for number, term in enumerate(terms)}
        with np.load(private / "index.npz") as file:
            shape = (len(terms), int(file["documents"]))
            self.scores = scipy.sparse.csr_matrix(
                (file["data"], file["indices"], file["indptr"]), shape=shape
            )

    def rank(self, queries: list[Weights], batch: int = 256) -> list[list[int]]:
        """Numbers of the best documents for each query: by score, then by number; none with a score of 0."""
        rankings = []
        for start in range(0, len(queries), batch):
            scores = (self.matrix(queries[start : start + batch]) @ self.scores).toarray()
            rankings += [best(row) for row in scores]
        return rankings

    def matrix(self, queries: list[Weights]) -> scipy.sparse.csr_matrix:
        """Query x term. Words of one stem add up, to MOST_WEIGHT at most; unknown words count for nothing."""
        matrix = scipy.sparse.lil_matrix((len(queries), len(self.numbers)), dtype=np.float32)
        for row, query in enumerate(queries):
            for word, weight in query.items():
                for term in tokens(word):
                    if term in self.numbers:
                        column = self.numbers[term]
                        matrix[row, column] = min(MOST_WEIGHT, matrix[row, column] + weight)
        return matrix.tocsr()


def best(scores: np.ndarray) -> list[int]:
    # All ties with the last place are looked at, so that the order never depends on how a partition falls.
    threshold = np.partition(scores, -DEPTH)[-DEPTH]
    candidates = np.flatnonzero((scores >= threshold) & (scores > 0))
    return candidates[np.lexsort((candidates, -scores[candidates]))][:DEPTH].tolist()


def measures(ranking: list[int], relevant: set[int]) -> tuple[float, float, float]:
    """nDCG@10 (a document is relevant or not), recall@10, reciprocal rank within the first ten."""
    hits = [position for position, document in enumerate(ranking) if document in relevant]
    gain = sum(1 / math.log2(position + 2) for position in hits)
    ideal = sum(1 / math.log2(position + 2) for position in range(min(DEPTH, len(relevant))))
    return gain / ideal, len(hits) / len(relevant), 1 / (hits[0] + 1) if hits else 0.0


def against(ndcg: np.ndarray, bm25: np.ndarray) -> dict[str, float]:
    """Gain over plain BM25 with a 95% interval by paired bootstrap over queries, which seeds cannot show."""
    difference = ndcg - bm25
    generator = np.random.default_rng(0)
    means = [
        difference[generator.integers(0, len(difference), len(difference))].mean() for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "ndcg_bm25": float(bm25.mean()),
        "gain_over_bm25": float(difference.mean()),
        "gain_low": float(low),
        "gain_high": float(high),
        "queries_better": float((difference > 0).mean()),
        "queries_worse": float((difference < 0).mean()),
    }
