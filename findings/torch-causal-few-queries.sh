#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU)
# Guess: scaled_dot_product_attention(q, k, v, is_causal=True) with one query and five keys (a step with a cache of
#   keys) lets that query, the newest, see all five, as flash attention does since its 2.1.
# What happens: the mask is aligned at the upper left: the query sees the first key alone, and its answer is the first
#   value, without a word. torch.nn.attention.bias.causal_lower_right(1, 5) as attn_mask is what was meant.
# Why it matters: a model that was trained right answers wrongly as soon as it decodes with a cache, or is scored on
#   the last places alone; the loss is bad and nothing says why. Two libraries' `causal` are two masks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'END'
import sys

import torch
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention as attention

torch.manual_seed(1)
q, k, v = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 5, 8), torch.randn(1, 1, 5, 8)
print("torch", torch.__version__)
print("guess: the newest query sees all keys")
by_flag, of_all = attention(q, k, v, is_causal=True), attention(q, k, v)
by_bias = attention(q, k, v, attn_mask=causal_lower_right(1, 5))
seen = [torch.allclose(by_flag, of_all), torch.allclose(by_flag, v[:, :, :1]), torch.allclose(by_bias, of_all)]
print("seen:  sees all", seen[0], "sees the first alone", seen[1], "causal_lower_right sees all", seen[2])
if seen != [False, True, True]:
    sys.exit("changed")
END
