#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU)
# Guess: going through a DataLoader that neither shuffles nor has workers draws no random number: how often a script
#   evaluates does not change its training.
# What happens: every iterator that a DataLoader makes draws one number from torch's global generator (a seed for
#   workers, although there are none). With a generator of its own it leaves the global one alone.
# Why it matters: one more look at the validation data gives another training run under the same seed: dropout and
#   shuffling differ from there on. Two programs that differ by an evaluation alone do not have the same scores.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0
venv/bin/python - <<'END'
import sys

import torch
from torch.utils.data import DataLoader

def next_number(**settings):
    torch.manual_seed(0)
    if settings:
        for _ in DataLoader(torch.arange(4), batch_size=2, shuffle=False, num_workers=0, **settings):
            pass
    return torch.rand(()).item()

print("torch", torch.__version__)
untouched = next_number()
plain = next_number(drop_last=False) == untouched
own = next_number(generator=torch.Generator()) == untouched
print("guess: the global generator is where it was: True, True")
print("seen:  after a plain loader:", plain, "after one with a generator of its own:", own)
if (plain, own) != (False, True):
    sys.exit("changed")
END
