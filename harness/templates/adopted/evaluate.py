"""The checkout's metric on held-out rows. Runs in the referee's process, imports nothing of ours or of the
candidate's.
"""

import json
import math
from pathlib import Path

import numpy as np

METRIC = json.loads((Path(__file__).parent / "adopted.json").read_text(encoding="utf-8"))["metric"]


def evaluate(subject, private: Path, split: str) -> dict[str, float]:
    """subject.losses(rows): rows of tokens [n, T + 1] -> nats per target [n, T]; targets are rows[:, 1:].

    Bytes are those of the raw text behind a target; special tokens have none and do not count.
    """
    rows = np.load(Path(private) / f"{split}_rows.npy").astype(np.int64)
    lengths = np.load(Path(private) / "token_bytes.npy").astype(np.float64)
    text_bytes = lengths[rows[:, 1:]]
    nats = np.asarray(subject.losses(rows), np.float64)
    counted = text_bytes > 0
    loss = float(nats.mean())
    values = {
        "bpb": float(np.where(counted, nats, 0.0).sum() / math.log(2) / text_bytes.sum()),
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
    }
    return {METRIC: values.pop(METRIC), **values}
