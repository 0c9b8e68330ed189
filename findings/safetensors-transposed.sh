#!/usr/bin/env bash
# Package: safetensors 0.8.0 with numpy 2.4.6
# Guess: safetensors.numpy.save of x.T gives x.T back when loaded, or refuses an array that is not contiguous.
# What happens: the shape is that of x.T and the numbers lie in the order of x: silently other values. The same goes
#   for a slice with steps.
# Why it matters: tied or transposed weights come back wrong, and a score is of another model. Save
#   numpy.ascontiguousarray(x).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'END'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

print("safetensors", safetensors.__version__, "numpy", np.__version__)
print("guess: what is loaded equals what was saved")
x = np.arange(6.0).reshape(2, 3)
back = load(save({"x": x.T}))["x"]
print("seen:  saved", x.T.tolist(), "loaded", back.tolist())
copied = load(save({"x": np.ascontiguousarray(x.T)}))["x"]
print("seen:  as a contiguous copy", copied.tolist())
if back.shape != (3, 2) or np.array_equal(back, x.T) or not np.array_equal(copied, x.T):
    sys.exit("changed")
END
