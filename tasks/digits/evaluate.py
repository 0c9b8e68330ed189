"""Mean negative log-likelihood of the right digit, in nats. Runs in the referee's process, imports nothing of ours."""

from pathlib import Path

import numpy as np


def evaluate(subject, private: Path, split: str) -> dict:
    """subject.answers(items): items are lists of 64 pixels (0..255), an answer is a list of 10 logits.

    Raises ValueError for answers of another shape or with numbers that are not finite.
    """
    images = np.load(Path(private) / f"{split}_images.npy")
    labels = np.load(Path(private) / f"{split}_labels.npy")
    logits = _logits(subject.answers(images.tolist()), len(labels))
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    errors = log_probabilities.argmax(axis=1) != labels
    losses = -log_probabilities[np.arange(len(labels)), labels]
    return {
        "log_loss": float(losses.mean()),
        "error_percent": float(errors.mean() * 100),
        "items": {"what": "pictures", "values": losses.tolist()},
    }


def _logits(answers: list, count: int) -> np.ndarray:
    if len(answers) != count:
        raise ValueError(f"{len(answers)} answers for {count} pictures")
    for answer in answers:
        if (
            not isinstance(answer, list)
            or len(answer) != 10
            or not all(type(x) in (int, float) for x in answer)
        ):
            raise ValueError("an answer is a list of 10 numbers")
    logits = np.array(answers, np.float64)
    if not np.isfinite(logits).all():
        raise ValueError("a logit is not finite")
    return logits
