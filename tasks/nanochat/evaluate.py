"""Bits per byte of held-out text. Runs in the referee's process, imports nothing of ours."""

import math
from pathlib import Path

import numpy as np


def evaluate(subject, private: Path, split: str) -> dict:
    """subject.losses(rows): rows of tokens [n, T + 1] -> nats per target [n, T]; targets are rows[:, 1:].

    The number of bytes is that of the raw text behind the targets, as prepare.py counted it: a constant.
    Targets without text (<bos> and padding) do not count.
    """
    rows = np.load(Path(private) / f"{split}_rows.npy").astype(np.int64)
    text_bytes = np.load(Path(private) / f"{split}_bytes.npy").astype(np.float64)
    counted = text_bytes > 0
    nats = np.where(counted, subject.losses(rows), 0.0)
    half = rows.shape[1] // 2
    document = _documents(Path(private) / f"{split}_documents.npy", len(rows))
    return {
        "bpb": _bits_per_byte(nats, text_bytes),
        "bpb_first_half_of_row": _bits_per_byte(nats[:, :half], text_bytes[:, :half]),
        "bpb_second_half_of_row": _bits_per_byte(nats[:, half:], text_bytes[:, half:]),
        "nats_per_token": float(nats.sum() / counted.sum()),
        "items": {
            "what": "documents",
            "values": np.bincount(document, nats.sum(axis=1) / math.log(2)).tolist(),
            "weights": np.bincount(document, text_bytes.sum(axis=1)).tolist(),
        },
    }


def _documents(file: Path, rows: int) -> np.ndarray:
    """Which document each row is of, from 0 without a gap; a row never spans two of them.

    Data that were prepared before this was kept count each row as one: held-out rows are taken thinly.
    """
    if not file.is_file():
        return np.arange(rows)
    return np.unique(np.load(file), return_inverse=True)[1]


def _bits_per_byte(nats: np.ndarray, text_bytes: np.ndarray) -> float:
    return float(nats.sum() / math.log(2) / text_bytes.sum())
