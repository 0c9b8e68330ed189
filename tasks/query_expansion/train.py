"""Learns which words of the ontology belong to a lay query: a bag of words in, a bag of words out.

train.py --data DIR --out DIR --seed N --seconds S
load_predictor(artefact_path, data) -> expand(list of queries) -> list of {word: weight}
"""

import argparse
import json
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from words import tokens

BUCKETS = 1 << 14  # query words by hash
WIDTH = 128
BATCH = 64
LEARNING_RATE = 3e-3
DROPOUT = 0.2
EXPANSION_TERMS = 20
EXPANSION_WEIGHT = 0.5  # of a word that the model is sure of; the words of the query weigh 1
RESERVE_SECONDS = 1.5  # not tuned: kept for writing the artefact


class Expander(nn.Module):
    """Hashed query words -> one logit for every word of the vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean")
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, vocabulary)
        nn.init.normal_(self.words.weight, std=0.1)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.constant_(self.output.bias, -6.0)

    def forward(self, queries: list[list[int]]) -> torch.Tensor:
        starts = np.cumsum([0] + [len(query) for query in queries[:-1]])
        state = self.words(
            torch.tensor([bucket for query in queries for bucket in query]), torch.from_numpy(starts)
        )
        state = state + functional.gelu(self.hidden(functional.dropout(state, DROPOUT, self.training)))
        state = functional.rms_norm(state, (WIDTH,))
        return self.output(functional.dropout(state, DROPOUT, self.training))


def features(query: str) -> list[int]:
    return [zlib.crc32(term.encode()) % BUCKETS for term in tokens(query)] or [0]


def load_vocabulary(data: str) -> list[str]:
    return json.loads((Path(data) / "vocabulary.json").read_text())


def load_predictor(artefact_path: str, data: str):
    words = load_vocabulary(data)
    model = Expander(len(words))
    model.load_state_dict(load_file(artefact_path))
    model.eval()

    def expand(queries: list[str]) -> list[dict[str, float]]:
        with torch.inference_mode():
            chances = torch.sigmoid(model([features(query) for query in queries]))
            values, places = chances.topk(EXPANSION_TERMS)
        return [
            expansion(query, [(words[place], value) for place, value in zip(*row, strict=True)])
            for query, *row in zip(queries, places.tolist(), values.tolist(), strict=True)
        ]

    return expand


def expansion(query: str, guesses: list[tuple[str, float]]) -> dict[str, float]:
    """The query's own words, and the guessed ones on top; at most 32 words in all."""
    weights: dict[str, float] = {}
    for word in query.split()[: 32 - EXPANSION_TERMS]:
        weights[word] = min(4.0, weights.get(word, 0.0) + 1.0)
    for word, chance in guesses:
        if chance > 0.02:
            weights[word] = weights.get(word, 0.0) + EXPANSION_WEIGHT * chance
    return weights


Pair = tuple[list[int], list[int]]
"""(query's features, numbers of the words in the names of one relevant document)"""


def examples(training, numbers: dict[str, int]) -> list[Pair]:
    lines = Path(training["documents.jsonl"]).read_text().splitlines()
    documents = {document["id"]: document for document in map(json.loads, lines)}
    found = []
    for row in map(json.loads, Path(training["queries.jsonl"]).read_text().splitlines()):
        for identity in row["relevant"]:
            document = documents[identity]
            names = " ".join([document["name"], *document["synonyms"]])
            found.append((features(row["query"]), sorted({numbers[term] for term in tokens(names)})))
    return found


def train(model: Expander, optimiser, pairs: list[Pair], seed: int, ends: float, claims: Path) -> None:
    """Until this process has used `ends` seconds of CPU time."""
    generator = np.random.default_rng(seed)
    start, step = time.process_time(), 0
    while (done := (time.process_time() - start) / (ends - start)) < 1:
        warm, cold = min(1.0, step / 20), min(1.0, (1 - done) / 0.7)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * warm * cold
        batch = [pairs[i] for i in generator.integers(0, len(pairs), BATCH)]
        logits = model([query for query, _ in batch])
        targets = torch.zeros_like(logits)
        for row, (_, names) in enumerate(batch):
            targets[row, names] = 1.0
        loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / BATCH
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if step % 50 == 0:
            claim(claims, step, loss.item())
    claim(claims, step, loss.item())


def claim(claims: Path, step: int, loss: float) -> None:
    with claims.open("a") as file:
        file.write(json.dumps({"step": step, "loss": loss}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    words = load_vocabulary(arguments.data)
    model = Expander(len(words))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    numbers = {tokens(word)[0]: number for number, word in enumerate(words)}

    from harness.gate import open_gate  # billing starts when it opens

    training = open_gate(arguments.data)
    ends = time.process_time() + arguments.seconds - RESERVE_SECONDS
    pairs = examples(training, numbers)
    train(model, optimiser, pairs, arguments.seed, ends, Path(arguments.out) / "claims.jsonl")
    save_file(model.state_dict(), Path(arguments.out) / "model.safetensors")


if __name__ == "__main__":
    main()
