"""Reads the golden artefact, a table of IBM Model 1: CRC-32 of a query's stem -> words and their chances."""

import collections
import json
import zlib
from pathlib import Path

from safetensors.numpy import load_file
from words import tokens


def load_predictor(artefact_path: str, data: str):
    arrays = load_file(artefact_path)
    words = json.loads((Path(data) / "vocabulary.json").read_text())
    table = collections.defaultdict(list)
    for source, word, chance in zip(
        *(arrays[name].tolist() for name in ("sources", "words", "chances")), strict=True
    ):
        table[source].append((words[word], chance))

    def expand(queries: list[str]) -> list[dict[str, float]]:
        return [expansion(query, table) for query in queries]

    return expand


def expansion(query: str, table: dict[int, list[tuple[str, float]]]) -> dict[str, float]:
    weights = {word: float(count) for word, count in collections.Counter(query.split()).items()}
    for word, count in [*weights.items()]:
        for stem in tokens(word):
            for other, chance in table[zlib.crc32(stem.encode())]:
                weights[other] = weights.get(other, 0.0) + count * chance
    heaviest = sorted(weights.items(), key=lambda entry: -entry[1])[:32]
    return {word: round(min(4.0, weight), 4) for word, weight in heaviest}
