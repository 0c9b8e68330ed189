# mypy: disable-error-code="no-untyped-def, import-not-found, import-untyped, misc, untyped-decorator"
"""The losses of many rows of logits in one pass over them, in Triton. Imported in the referee's own process only.

Every logit is loaded once and serves the sum, the choice and the check that it is finite: the memory may be shared
with a candidate, who could otherwise show one logit to the sum and another to the choice.
"""

from typing import Any

import triton
import triton.language as tl

_BLOCK, _WARPS = 2048, 8


@triton.jit
def _losses(logits, targets, losses, classes, lowest: tl.constexpr, BLOCK: tl.constexpr):
    """One row: log(sum of e^logit) - logit of the target; infinite where a logit is not finite."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    largest = tl.full((BLOCK,), lowest, tl.float32)
    sums = tl.zeros((BLOCK,), tl.float32)
    chosen = tl.zeros((BLOCK,), tl.float32)
    odd = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, classes, BLOCK):
        places = start + tl.arange(0, BLOCK)
        inside = places < classes
        x = tl.load(logits + row * classes + places, mask=inside, other=0.0).to(tl.float32)
        odd = tl.where(tl.abs(x) <= -lowest, odd, 1)  # a comparison with NaN is false
        larger = tl.maximum(largest, tl.where(inside, x, lowest))
        sums = sums * tl.exp(largest - larger) + tl.where(inside, tl.exp(x - larger), 0.0)
        largest = larger
        chosen += tl.where(places == target, x, 0.0)
    top = tl.max(largest, 0)
    total = tl.sum(sums * tl.exp(largest - top), 0)
    loss = tl.log(total).to(tl.float64) + (top.to(tl.float64) - tl.sum(chosen, 0).to(tl.float64))
    tl.store(losses + row, tl.where(tl.max(odd, 0) > 0, float("inf"), loss))


def losses_of(logits: Any, targets: Any) -> Any:
    """logits [n, classes] of any float type, targets [n] int64, both on the GPU -> nats, float64 [n].

    Infinite where a logit is not finite.
    """
    import torch

    result = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
    lowest = torch.finfo(torch.float32).min
    _losses[(len(logits),)](logits, targets, result, logits.shape[1], lowest, BLOCK=_BLOCK, num_warps=_WARPS)
    return result
