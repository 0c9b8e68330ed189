"""Attention backends of torch on this card: the same bits twice? does the past hear the future? do neighbours matter?

    python studies/h100/attention.py [--repeats 20] [--json FILE]

For each backend of scaled_dot_product_attention, and for flex_attention, in bfloat16, at nanochat's shape on a GPU:

- repeat: forward and backward of the same tensors again and again in one process; how many differ in a bit, and the
  largest difference as a share of the largest value.
- causality: the last half of the keys, values and queries is drawn anew; the first half of the answer keeps its bits?
- batch: the first rows alone, and in a batch with others; a row must keep its bits.
- length: the first half as a sequence of its own; what a position answers may depend on nothing behind it, but kernels
  may cut their work otherwise.

About a minute on one card. The result names the card and the versions.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

SHAPE = (16, 4, 2048, 128)  # rows (a quarter of a step), heads, positions, width of a head
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def backends(device: str) -> Iterator[tuple[str, Attention]]:
    """By name, whether or not they can do it here."""
    for backend in (
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ):
        yield backend.name.lower(), _only(backend)
    yield "default", lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True)
    if device == "cuda":
        yield "flex, compiled", _flex()


def _only(backend: SDPBackend) -> Attention:
    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=True)

    return attend


def _flex() -> Attention:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    compiled = torch.compile(flex_attention, dynamic=False)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        length = q.shape[2]
        mask = create_block_mask(lambda _, __, at, to: at >= to, None, None, length, length, device=q.device)
        return compiled(q, k, v, block_mask=mask)

    return attend


def drawn(shape: tuple[int, ...], seed: int, device: str) -> list[torch.Tensor]:
    """Queries, keys, values and what flows back."""
    generator = torch.Generator(device).manual_seed(seed)
    return [torch.randn(shape, generator=generator, device=device, dtype=torch.bfloat16) for _ in range(4)]


def both_ways(attend: Attention, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The answer and the gradients of queries, keys and values."""
    q, k, v = (each.detach().clone().requires_grad_() for each in tensors[:3])
    answer = attend(q, k, v)
    answer.backward(tensors[3])
    return [answer.detach(), *(each.grad for each in (q, k, v) if each.grad is not None)]


def difference(one: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    """Share of numbers that differ, and the largest difference as a share of the largest number."""
    gap = (one.float() - other.float()).abs()
    return {
        "differing": float((one != other).float().mean()),
        "largest": float(gap.max() / one.float().abs().max()),
    }


def looked_at(attend: Attention, shape: tuple[int, ...], device: str, repeats: int) -> dict[str, Any]:
    """Raises RuntimeError where the backend cannot do it."""
    tensors, half = drawn(shape, 1, device), shape[2] // 2
    first = both_ways(attend, tensors)
    names = ("answer", "grad_q", "grad_k", "grad_v")
    worst = {name: {"differing": 0.0, "largest": 0.0, "times": 0} for name in names}
    for _ in range(repeats):
        for name, before, now in zip(names, first, both_ways(attend, tensors), strict=True):
            found = difference(before, now)
            worst[name]["times"] += found["differing"] > 0
            for key, value in found.items():
                worst[name][key] = max(worst[name][key], value)
    anew = drawn(shape, 2, device)
    future = [
        torch.cat([old[:, :, :half], new[:, :, half:]], 2) for old, new in zip(tensors, anew, strict=True)
    ]
    with torch.inference_mode():
        whole = attend(*tensors[:3])
        changed = attend(*future[:3])
        alone = attend(*(each[:2].contiguous() for each in tensors[:3]))
        short = attend(*(each[:, :, :half].contiguous() for each in tensors[:3]))
    return {
        "repeat": worst,
        "causality": difference(whole[:, :, :half], changed[:, :, :half]),
        "batch": difference(whole[:2], alone),
        "length": difference(whole[:, :, :half], short),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="cuda", help="cpu: only to try the script itself")
    chosen = parser.parse_args()
    cuda = chosen.device == "cuda"
    if cuda and not torch.cuda.is_available():
        print("attention.py: no CUDA device is seen here", file=sys.stderr)
        return 2
    shape = SHAPE if cuda else (4, 2, 64, 16)
    about = {
        "card": torch.cuda.get_device_name() if cuda else "none",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "shape": shape,
        "repeats": chosen.repeats,
    }
    found: dict[str, Any] = {}
    for name, attend in backends(chosen.device):
        try:
            found[name] = looked_at(attend, shape, chosen.device, chosen.repeats)
        except Exception as error:  # noqa: BLE001 -- what a backend raises that lacks something is its own affair
            found[name] = {"refused": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        print(json.dumps({name: found[name]}), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({**about, "backends": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
