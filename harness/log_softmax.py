"""Losses of given classes from raw logits, in trusted code: the log-softmax that a candidate never touches."""

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 1 << 20  # a block and its exponentials stay in the processor's second-level cache
_SAFE = 60.0  # exp of +-60 and a sum over a million classes stay inside float32


class NotFinite(ValueError):
    """Some logit is NaN or infinite."""


def decode(content: bytes | memoryview | bytearray, dtype: str) -> npt.NDArray[np.float32]:
    """A private float32 copy of wire bytes ("float32", "float16" or "bfloat16"), flat."""
    if dtype == "bfloat16":
        return (np.frombuffer(content, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.array(np.frombuffer(content, np.dtype(dtype)), dtype=np.float32)


def target_losses(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """-log softmax(logits)[target] in nats: logits [n, classes], targets [n] -> [n].

    Raises NotFinite if any logit is, IndexError if a target is not a class.
    """
    count, classes = logits.shape
    if count and not (0 <= int(targets.min()) and int(targets.max()) < classes):
        raise IndexError(f"a target lies outside the {classes} classes")
    losses = np.empty(count, np.float64)
    step = max(1, _BLOCK_BYTES // (4 * classes))
    scratch = np.empty((min(step, count), classes), np.float32)
    for start in range(0, count, step):
        block = logits[start : start + step]
        losses[start : start + step] = _block_losses(block, targets[start : start + step], scratch[: len(block)])
    return losses


def _block_losses(
    block: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], scratch: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    largest = block.max(axis=1)
    if not (np.isfinite(block.min()) and np.isfinite(largest).all()):  # NaN survives min and max
        raise NotFinite("a logit is not finite")
    shift = np.zeros_like(largest) if -_SAFE < largest.min() and largest.max() < _SAFE else largest
    if shift is largest:
        np.subtract(block, shift[:, None], out=scratch)
        np.exp(scratch, out=scratch)
    else:
        np.exp(block, out=scratch)
    chosen = block[np.arange(len(block)), targets].astype(np.float64)
    return np.log(scratch.sum(axis=1, dtype=np.float32).astype(np.float64)) + shift - chosen
