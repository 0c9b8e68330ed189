#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU) with numpy 2.4.6, on Linux with glibc
# Guess: a tensor of the same size in every step costs new memory once, as freed memory is kept and used again: torch
#   does so on a GPU, and malloc on the CPU.
# What happens: up to 32 MiB that is so. A larger tensor is mapped anew and given back each time (glibc's threshold
#   for mapping grows to 32 MiB and no further, and torch keeps no CPU memory of its own): every step pays a page
#   fault for each 4 KiB of it. numpy asks for huge pages there and pays a few hundredths of that.
# Why it matters: a batch of logits that grows from 31 to 33 MiB costs 8,000 page faults a step more; work in pieces of
#   at most 32 MiB costs none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'END'
import resource
import sys

import torch

def faults_a_step(mebibytes):
    torch.ones(mebibytes << 20, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(mebibytes << 20, dtype=torch.uint8)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10

print("torch", torch.__version__)
for mebibytes in (8, 16, 24):  # glibc learns by what is freed
    faults_a_step(mebibytes)
small, large = faults_a_step(31), faults_a_step(33)
print("guess: few page faults a step, for either")
print(f"seen:  {small:.0f} a step of 31 MiB, {large:.0f} a step of 33 MiB (of 4 KiB: {33 << 8})")
if not small < 1000 < 8000 < large:
    sys.exit("changed")
END
