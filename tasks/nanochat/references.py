"""Prints the reference lines of task.yaml: n-gram models over the same tokens, scored on the same rows.

    python tasks/nanochat/references.py PUBLIC PRIVATE     folders that prepare.py has filled

Witten-Bell: an n-gram's share is mixed with that of the next shorter one by how many different tokens followed.
"""

import json
import sys
from pathlib import Path

import numpy as np
from evaluate import evaluate


class NGram:
    """Interpolated counts of 1 to `order` tokens; what losses(rows) returns is what evaluate.py asks for."""

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int) -> None:
        self.vocabulary = vocabulary
        self.base = vocabulary + 5  # keys of n tokens are numbers to this base
        self.tables = [self._table(tokens, length) for length in range(1, order + 1)]

    def _keys(self, tokens: np.ndarray, length: int) -> np.ndarray:
        """A number for every `length` consecutive tokens of the last axis."""
        end = tokens.shape[-1] - length + 1
        keys = np.zeros((*tokens.shape[:-1], end), np.int64)
        for offset in range(length):
            keys = keys * self.base + tokens[..., offset : offset + end]
        return keys

    def _table(self, tokens: np.ndarray, length: int) -> tuple[np.ndarray, ...]:
        keys, counts = np.unique(self._keys(tokens, length), return_counts=True)
        contexts, starts = np.unique(keys // self.base, return_index=True)
        totals = np.add.reduceat(counts, starts)
        kinds = np.diff(np.append(starts, len(keys)))
        return keys, counts, contexts, totals, kinds

    def losses(self, rows: np.ndarray) -> np.ndarray:
        """Nats per target [n, T] for rows [n, T + 1]."""
        shares = np.full(rows.shape, 1 / self.vocabulary)
        for length, (keys, counts, contexts, totals, kinds) in enumerate(self.tables, start=1):
            wanted = self._keys(rows, length)
            count = _find(keys, counts, wanted)
            total = _find(contexts, totals, wanted // self.base)
            kind = _find(contexts, kinds, wanted // self.base)
            shorter = shares[:, length - 1 :]
            known = (count + kind * shorter) / np.maximum(total + kind, 1)
            shares[:, length - 1 :] = np.where(total > 0, known, shorter)
        return -np.log(shares[:, 1:])


def _find(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The values of the wanted keys, 0 where there is none; keys are sorted."""
    places = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def main() -> None:
    public, private = Path(sys.argv[1]), Path(sys.argv[2])
    vocabulary = json.loads((public / "meta.json").read_text(encoding="utf-8"))["vocabulary"]
    tokens = np.load(public / "train" / "tokens.npy").astype(np.int64)
    for order, name in enumerate(("uniform guess", "unigram", "bigram", "trigram")):
        model = NGram(tokens, vocabulary, order)
        print(f"{name}: {evaluate(model, private, 'val')['bpb']:.3f}")


if __name__ == "__main__":
    main()
