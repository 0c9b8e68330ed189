#!/usr/bin/env bash
# Package: numpy 2.4.6
# Guess: default_rng(5), default_rng([5]) and default_rng([5, 0]) are three streams; [seed, index] never meets a plain
#   seed.
# What happens: they are one stream: a seed sequence is filled up with zeros. [5, 1] is another one.
# Why it matters: with [seed, index], item 0 of a data set gets the very numbers of whatever else was seeded with
#   plain `seed`. SeedSequence(5).spawn(n) has no such member.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile numpy==2.4.6
venv/bin/python - <<'END'
import sys

import numpy as np

print("numpy", np.__version__)
print("guess: 5, [5] and [5, 0] give three streams")
seen = {str(seed): np.random.default_rng(seed).integers(10**9, size=3).tolist() for seed in (5, [5], [5, 0], [5, 1])}
spawned = np.random.default_rng(np.random.SeedSequence(5).spawn(1)[0]).integers(10**9, size=3).tolist()
for seed, numbers in seen.items():
    print("seen: ", seed, numbers)
print("seen:  spawned child 0", spawned)
if not (seen["5"] == seen["[5]"] == seen["[5, 0]"] != seen["[5, 1]"]) or spawned == seen["5"]:
    sys.exit("changed")
END
