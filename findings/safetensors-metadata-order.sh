#!/usr/bin/env bash
# Package: safetensors 0.8.0 with numpy 2.4.6
# Guess: the same tensors and the same metadata give the same bytes.
# What happens: the tensors have a fixed order, the entries of the metadata do not: nearly every call gives other
#   bytes.
# Why it matters: a hash of the file is no identity of an artefact, not even within one process. Without metadata (or
#   with a single entry) it is.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'END'
import hashlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import save

def kinds(metadata):
    tensors = {name: np.ones(2) for name in "abcdef"}
    return len({hashlib.sha256(save(tensors, metadata=metadata)).hexdigest() for _ in range(20)})

print("safetensors", safetensors.__version__)
print("guess: 20 calls give one file each time")
seen = [kinds(None), kinds({"a": "1"}), kinds({name: "1" for name in "abcdef"})]
print("seen:  different files of 20, with 0, 1 and 6 entries of metadata:", seen)
if seen[:2] != [1, 1] or seen[2] == 1:
    sys.exit("changed")
END
