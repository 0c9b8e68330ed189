"""Losses of given classes from raw logits, in trusted code: the log-softmax that a candidate never touches."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.sandbox.device_memory import DeviceArray

_BLOCK_BYTES = 1 << 20  # a block and its exponentials stay in the processor's second-level cache
_SAFE = 60.0  # exp of +-60 and a sum over a million classes stay inside float32

Floats: TypeAlias = npt.NDArray[np.float32]
Losses: TypeAlias = npt.NDArray[np.float64]
Targets: TypeAlias = npt.NDArray[np.int64]


class NotFinite(ValueError):
    """Some logit is NaN or infinite."""


def decode_into(target: Floats, content: memoryview, dtype: str) -> None:
    """Copy wire bytes ("float32", "float16" or "bfloat16") into a flat float32 array of our own."""
    if dtype == "bfloat16":  # the upper half of a float32; this machine is little-endian, as PyTorch's are
        halves = target.view(np.uint16).reshape(-1, 2)
        halves[:, 0] = 0
        halves[:, 1] = np.frombuffer(content, np.uint16)
    else:
        target[:] = np.frombuffer(content, np.dtype(dtype))


def target_losses(logits: Floats, targets: Targets) -> Losses:
    """-log softmax(logits)[target] in nats: logits [n, classes], targets [n] -> [n].

    Raises NotFinite if any logit is, IndexError if a target is not a class.
    """
    content = np.ascontiguousarray(logits).data.cast("B")
    return LossWorkers(1).losses(content, "float32", logits.shape[1], targets)


class LossWorkers:
    """Threads that turn wire bytes into losses, block by block; NumPy lets go of the interpreter meanwhile.

    Every block is copied before it is looked at: its bytes are shared with the candidate, who could show one
    logit to the sum and another to the choice. Memory: two blocks a thread.
    """

    def __init__(self, threads: int) -> None:
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def losses(self, content: memoryview | DeviceArray, dtype: str, classes: int, targets: Targets) -> Losses:
        """content: logits [n, classes] as bytes; targets [n] -> nats [n]. Raises NotFinite, IndexError."""
        assert isinstance(content, memoryview)  # memory of a GPU is shared only where it does this work
        count = len(targets)
        if count and not (int(targets.min()) >= 0 and int(targets.max()) < classes):
            raise IndexError(f"a target lies outside the {classes} classes")
        losses = np.empty(count, np.float64)
        row_bytes = len(content) // max(count, 1)
        step = max(1, _BLOCK_BYTES // (4 * classes))

        def work(start: int) -> None:
            part = content[start * row_bytes : (start + step) * row_bytes]
            chosen = targets[start : start + step]
            block, scratch = self._scratch(step, classes)
            decode_into(block[: len(chosen)].reshape(-1), part, dtype)
            losses[start : start + step] = _block_losses(block[: len(chosen)], chosen, scratch[: len(chosen)])

        for _ in self._map(work, range(0, count, step)):
            pass
        return losses

    def pin(self, buffer: Any) -> None:
        """For log_softmax_gpu.GpuLosses, which stands in for this: a processor needs no pinned pages."""

    def unpin(self) -> None:
        """See `pin`."""

    def _map(self, work: Callable[[int], None], starts: Iterable[int]) -> Iterable[None]:
        return self._pool.map(work, starts) if self._pool else map(work, starts)

    def _scratch(self, rows: int, classes: int) -> tuple[Floats, Floats]:
        shape = (rows, classes)
        held: tuple[Floats, Floats] | None = getattr(self._local, "arrays", None)
        if held is None or held[0].shape != shape:
            held = self._local.arrays = (np.empty(shape, np.float32), np.empty(shape, np.float32))
        return held

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown()


def _block_losses(block: Floats, targets: Targets, scratch: Floats) -> Losses:
    largest, smallest = block.max(axis=1), block.min()
    if not (np.isfinite(smallest) and np.isfinite(largest).all()):  # NaN survives min and max
        raise NotFinite("a logit is not finite")
    shift = np.zeros_like(largest) if largest.min() > -_SAFE and largest.max() < _SAFE else largest
    if shift is largest:
        np.subtract(block, shift[:, None], out=scratch)
        np.exp(scratch, out=scratch)
    else:
        np.exp(block, out=scratch)
    chosen = block[np.arange(len(block)), targets].astype(np.float64)
    losses: Losses = np.log(scratch.sum(axis=1, dtype=np.float32).astype(np.float64)) + shift - chosen
    return losses
