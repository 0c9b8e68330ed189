"""The checkout's metric on held-out rows. Runs in the referee's process, imports nothing of ours or of the
candidate's.
"""

import json
import math
from pathlib import Path

import numpy as np

METRIC = json.loads((Path(__file__).parent / "adopted.json").read_text(encoding="utf-8"))["metric"]


def evaluate(subject, private: Path, split: str) -> dict:
    """subject.losses(rows): rows of tokens [n, T + 1] -> nats per target [n, T]; targets are rows[:, 1:].

    Bytes are those of the raw text behind a target; special tokens have none and do not count. bpb_as_printed: the
    same answers with bytes counted as the checkout's own evaluation counts them.
    """
    folder = Path(private)
    rows = np.load(folder / f"{split}_rows.npy").astype(np.int64)
    nats = np.asarray(subject.losses(rows), np.float64)
    text_bytes = np.load(folder / f"{split}_bytes.npy")
    loss = float(nats.mean())
    values = {
        "bpb": bits_per_byte(nats, text_bytes),
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
    }
    printed = folder / f"{split}_printed_bytes.npy"
    if printed.exists():
        values["bpb_as_printed"] = bits_per_byte(nats, np.load(printed))
    return {METRIC: values.pop(METRIC), **values, **_items(nats, text_bytes)}


def _items(nats: np.ndarray, text_bytes: np.ndarray) -> dict:
    """What each row adds to the metric, where that is a mean: the certificate resamples rows with it."""
    if METRIC == "bpb":
        values = np.where(text_bytes > 0, nats, 0.0).sum(axis=1) / math.log(2)
        weights = text_bytes.astype(np.float64).sum(axis=1)
        return {"items": {"what": "rows", "values": values.tolist(), "weights": weights.tolist()}}
    if METRIC == "loss":
        return {"items": {"what": "rows", "values": nats.mean(axis=1).tolist()}}
    return {}


def bits_per_byte(nats: np.ndarray, text_bytes: np.ndarray) -> float:
    """Both [n, T]; targets without bytes do not count."""
    return float(np.where(text_bytes > 0, nats, 0.0).sum() / math.log(2) / text_bytes.sum())
