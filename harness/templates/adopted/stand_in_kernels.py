"""In place of the kernel hub, which a trial cannot reach: flash attention's interface through torch's own attention."""

from functools import cache
from types import SimpleNamespace

import torch
import torch.nn.functional as F

STANDS_IN = True


def get_kernel(_repository, *_, **__):
    """Anything that is asked for offers flash attention, as `flash_attn_interface` and directly."""
    return SimpleNamespace(
        flash_attn_interface=SimpleNamespace(flash_attn_func=flash_attn_func), flash_attn_func=flash_attn_func
    )


def flash_attn_func(q, k, v, *_, softmax_scale=None, causal=False, window_size=(-1, -1), **__):
    """q, k, v [batch, length, heads, size] -> [batch, length, heads, size]; window_size: places to the left and
    right.

    Where q is shorter than k, the last query stands at the last key, as in flash attention since 2.1; torch's own
    `is_causal` puts the first query at the first key.
    """
    length, keys, left = q.size(1), k.size(1), window_size[0]
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    grouped = q.size(1) != k.size(1)
    if causal and length == keys and (left < 0 or left >= length - 1):
        answer = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=softmax_scale, enable_gqa=grouped
        )
    elif q.is_cuda and causal and length == keys:
        answer = _windowed(q, k, v, left, softmax_scale, grouped)
    else:
        mask = _mask(length, keys, causal, tuple(window_size), q.device)
        answer = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=softmax_scale, enable_gqa=grouped
        )
    return answer.transpose(1, 2)


def _windowed(q, k, v, left, scale, grouped):
    from torch.nn.attention.flex_attention import flex_attention

    blocks = _blocks(q.size(2), left, str(q.device))
    attend = flex_attention if torch.compiler.is_compiling() else _compiled()
    return attend(q, k, v, block_mask=blocks, scale=scale, enable_gqa=grouped)


@cache
def _compiled():
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


@cache
def _blocks(length, left, device):
    from torch.nn.attention.flex_attention import create_block_mask

    return create_block_mask(
        lambda _batch, _head, query, key: (query >= key) & (query - key <= left),
        None,
        None,
        length,
        length,
        device=device,
    )


@cache
def _mask(length, keys, causal, window, device):
    place = torch.arange(keys - length, keys, device=device)
    distance = place[:, None] - torch.arange(keys, device=device)[None, :]
    seen = torch.ones((length, keys), dtype=torch.bool, device=device)
    if causal:
        seen &= distance >= 0
    if window[0] >= 0:
        seen &= distance <= window[0]
    if window[1] >= 0 and not causal:
        seen &= -distance <= window[1]
    return seen
