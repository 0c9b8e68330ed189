#!/usr/bin/env bash
# Package: CPython 3.11 (its random module; nothing is installed)
# Guess: random.seed(-1) and random.seed(1) start different streams.
# What happens: the sign of a whole number is dropped: one stream. (numpy refuses -1.)
# Why it matters: differences of seeds, or signed 64-bit hashes, used as seeds collide in pairs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 - <<'END'
import platform
import random
import sys

def stream(seed):
    random.seed(seed)
    return [random.randrange(10**9) for _ in range(3)]

print("python", platform.python_version())
print("guess: two streams")
print("seen:  seed 1", stream(1), "seed -1", stream(-1), "seed 2", stream(2))
if stream(1) != stream(-1) or stream(1) == stream(2):
    sys.exit("changed")
END
