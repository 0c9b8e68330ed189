#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU)
# Guess: with the same seed, the first 15 numbers of randn(16) are randn(15), as the first 15 of rand(16) are
#   rand(15).
# What happens: from 16 numbers on another order of drawing is used, and where the length is no multiple of 16 the
#   last 16 numbers are drawn anew: randn(15) is no prefix of randn(16), nor randn(16) of randn(17); of randn(32) it
#   is.
# Why it matters: a width changed from 16 to 17 changes the initial weights that both have in common, too: two
#   programs under one seed share less than one thinks, and a pairing by seed helps less.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0
venv/bin/python - <<'END'
import sys

import torch

def prefix(draw, short, long):
    torch.manual_seed(5)
    one = draw(short)
    torch.manual_seed(5)
    return torch.equal(one, draw(long)[:short])

print("torch", torch.__version__)
print("guess: True everywhere")
rand = [prefix(torch.rand, 15, 16), prefix(torch.rand, 16, 17)]
randn = [prefix(torch.randn, 15, 16), prefix(torch.randn, 16, 17), prefix(torch.randn, 16, 32)]
print("seen:  rand 15 of 16, 16 of 17:", rand)
print("seen:  randn 15 of 16, 16 of 17, 16 of 32:", randn)
if rand != [True, True] or randn != [False, False, True]:
    sys.exit("changed")
END
