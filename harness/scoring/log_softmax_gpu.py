"""The same losses on a GPU, in the referee's own process: a million rows of 8192 logits are too much for NumPy."""

import contextlib
from typing import Any

import numpy as np

from harness.sandbox.device_memory import DeviceArray
from harness.scoring.log_softmax import Losses, LossWorkers, NotFinite, Targets

_CHUNK_BYTES = 128 << 20


class GpuLosses:
    """Stands in for log_softmax.LossWorkers.

    What the candidate can still change is read once (log_softmax_kernel.py), or copied before it is looked at.
    """

    def __init__(self) -> None:
        """Raises RuntimeError without a GPU that torch can use."""
        import torch

        self._torch = torch
        self._device = torch.device("cuda")
        self._in_one_pass = _in_one_pass(torch.zeros(1, 2, device=self._device))
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

    def losses(self, content: memoryview | DeviceArray, dtype: str, classes: int, targets: Targets) -> Losses:
        """content: logits [n, classes] as bytes, here or on the GPU; targets [n] -> nats [n].

        Raises NotFinite, IndexError.
        """
        torch = self._torch
        if len(targets) and not (int(targets.min()) >= 0 and int(targets.max()) < classes):
            raise IndexError(f"a target lies outside the {classes} classes")
        if not len(targets):
            return np.empty(0)
        kind = getattr(torch, dtype)
        if isinstance(content, DeviceArray):
            logits = torch.as_tensor(content, device=self._device).view(kind).view(len(targets), classes)
        else:
            logits = torch.frombuffer(content, dtype=kind).view(len(targets), classes)
        wanted = torch.from_numpy(targets).to(self._device)
        step = max(1, _CHUNK_BYTES // (4 * classes))
        if isinstance(content, DeviceArray) and self._in_one_pass:
            step = len(targets)
        parts = [
            self._part(logits[start : start + step], wanted[start : start + step])
            for start in range(0, len(targets), step)
        ]
        result: Losses = torch.cat(parts).cpu().numpy()
        if not np.isfinite(result).all():
            raise NotFinite("a logit is not finite")
        return result

    def _part(self, logits: Any, wanted: Any) -> Any:
        """float64 [n]; infinite where a logit is not finite."""
        if self._in_one_pass:
            return self._in_one_pass(logits.to(self._device, non_blocking=True), wanted)
        chunk = self._torch.empty(logits.shape, dtype=logits.dtype, device=self._device)
        chunk.copy_(logits, non_blocking=True)
        chunk = chunk.float()
        chosen = chunk.gather(1, wanted[:, None])[:, 0]
        losses = chunk.logsumexp(1).double() - chosen.double()
        return losses.masked_fill_(~chunk.isfinite().all(1), float("inf"))

    def close(self) -> None:
        """Nothing to give back before the process ends."""


def _in_one_pass(example: Any) -> Any:
    """The kernel, compiled; None without Triton or what it needs, as a C compiler."""
    try:
        from harness.scoring.log_softmax_kernel import losses_of

        losses_of(example, example[:, 0].long())
    except Exception:  # noqa: BLE001 -- compilers raise whatever they like; without one torch's own kernels do it
        return None
    return losses_of


def loss_workers(threads: int, gpu: bool) -> "LossWorkers | GpuLosses":
    """On the GPU where there is one, else on so many threads."""
    if gpu:
        with contextlib.suppress(ImportError, RuntimeError, AssertionError):
            return GpuLosses()
    return LossWorkers(threads)
