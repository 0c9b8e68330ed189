"""The same losses on a GPU, in the referee's own process: a million rows of 8192 logits are too much for NumPy."""

import contextlib
from typing import Any

import numpy as np

from harness.scoring.log_softmax import Losses, LossWorkers, NotFinite, Targets

_CHUNK_BYTES = 128 << 20


class GpuLosses:
    """Stands in for log_softmax.LossWorkers. The copy to the GPU is the copy that the candidate cannot change."""

    def __init__(self) -> None:
        """Raises RuntimeError without a GPU that torch can use."""
        import torch

        self._torch = torch
        self._device = torch.device("cuda")
        torch.zeros(1, device=self._device)
        self._pinned: list[int] = []

    def pin(self, buffer: Any) -> None:
        """Make copies from a mapped buffer run at full bus speed, until `unpin`."""
        whole = self._torch.frombuffer(buffer, dtype=self._torch.uint8)
        self._torch.cuda.cudart().cudaHostRegister(whole.data_ptr(), whole.numel(), 0)  # type: ignore[no-untyped-call] # torch's own lack
        self._pinned.append(whole.data_ptr())

    def unpin(self) -> None:
        """Before a pinned buffer is unmapped: another one may be mapped at the same place."""
        while self._pinned:
            self._torch.cuda.cudart().cudaHostUnregister(self._pinned.pop())  # type: ignore[no-untyped-call] # torch's own lack

    def losses(self, content: memoryview, dtype: str, classes: int, targets: Targets) -> Losses:
        """content: logits [n, classes] as bytes; targets [n] -> nats [n]. Raises NotFinite, IndexError."""
        torch = self._torch
        if len(targets) and not (int(targets.min()) >= 0 and int(targets.max()) < classes):
            raise IndexError(f"a target lies outside the {classes} classes")
        logits = torch.frombuffer(content, dtype=getattr(torch, dtype)).view(len(targets), classes)
        wanted = torch.from_numpy(targets).to(self._device)
        step = max(1, _CHUNK_BYTES // (4 * classes))
        parts = []
        finite = torch.ones((), dtype=torch.bool, device=self._device)
        for start in range(0, len(targets), step):
            chunk = logits[start : start + step].to(self._device, non_blocking=True).float()
            finite &= chunk.isfinite().all()
            chosen = chunk.gather(1, wanted[start : start + step, None])[:, 0]
            parts.append(chunk.logsumexp(1).double() - chosen.double())
        if not bool(finite):
            raise NotFinite("a logit is not finite")
        result: Losses = torch.cat(parts).cpu().numpy() if parts else np.empty(0)
        return result

    def close(self) -> None:
        """Nothing to give back before the process ends."""


def loss_workers(threads: int, gpu: bool) -> "LossWorkers | GpuLosses":
    """On the GPU where there is one, else on so many threads."""
    if gpu:
        with contextlib.suppress(ImportError, RuntimeError, AssertionError):
            return GpuLosses()
    return LossWorkers(threads)
