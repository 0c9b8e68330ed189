"""Bits per byte of held-out text. Runs in the referee's process, imports nothing of ours."""

import math
from pathlib import Path

import numpy as np


def evaluate(subject, private: Path, split: str) -> dict[str, float]:
    """subject.losses(rows): rows of tokens [n, T + 1] -> nats per target [n, T]; targets are rows[:, 1:].

    The number of bytes is that of the raw text behind the targets, as prepare.py counted it: a constant.
    Targets without text (<bos> and padding) do not count.
    """
    rows = np.load(Path(private) / f"{split}_rows.npy").astype(np.int64)
    text_bytes = np.load(Path(private) / f"{split}_bytes.npy").astype(np.float64)
    counted = text_bytes > 0
    nats = np.where(counted, subject.losses(rows), 0.0)
    half = rows.shape[1] // 2
    return {
        "bpb": _bits_per_byte(nats, text_bytes),
        "bpb_first_half_of_row": _bits_per_byte(nats[:, :half], text_bytes[:, :half]),
        "bpb_second_half_of_row": _bits_per_byte(nats[:, half:], text_bytes[:, half:]),
        "nats_per_token": float(nats.sum() / counted.sum()),
    }


def _bits_per_byte(nats: np.ndarray, text_bytes: np.ndarray) -> float:
    return float(nats.sum() / math.log(2) / text_bytes.sum())
