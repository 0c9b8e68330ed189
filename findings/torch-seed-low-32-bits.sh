#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU)
# Guess: manual_seed takes 64 bits, so seeds 1 and 1 + 2**32 start different streams.
# What happens: the generator of the CPU uses the low 32 bits: one stream, though initial_seed() gives back all 64.
# Why it matters: seeds cut from a hash look like 64 bits and are 32 on the CPU; seeds that differ by a multiple of
#   2**32 (worker << 32 | seed) are the same trial.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0
venv/bin/python - <<'END'
import sys

import torch

def stream(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(10**9, (3,), generator=generator).tolist(), generator.initial_seed()

print("torch", torch.__version__)
print("guess: two streams")
for seed in (1, 1 + 2**32, 2):
    print("seen: ", seed, *stream(seed))
if stream(1)[0] != stream(1 + 2**32)[0] or stream(1)[0] == stream(2)[0] or stream(1 + 2**32)[1] != 1 + 2**32:
    sys.exit("changed")
END
