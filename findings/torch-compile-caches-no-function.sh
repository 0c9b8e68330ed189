#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU; a C++ compiler must be there)
# Guess: what torch.compile compiled once, a second process with the same cache folder finds there, whatever operations
#   the program has.
# What happens: a graph with an autograd.Function in it passes the cache of traced graphs by: it is traced,
#   differentiated and lowered again in every process, and only the generated kernels are found. No warning says so.
# Why it matters: on a GPU a start from a warm cache took 23 seconds with such a function in the compiled part and 9
#   with the same function called outside of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0
cat > compiled.py <<'END'
import sys

import torch
from torch._dynamo.utils import counters

class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient

def plain(x):
    return (2 * x).sin().sum()

def with_function(x):
    return Twice.apply(x).sin().sum()

torch.compile(with_function if sys.argv[1] == "function" else plain)(torch.ones(8, requires_grad=True)).backward()
found, passed = (counters["aot_autograd"][f"autograd_cache_{name}"] for name in ("hit", "bypass"))
print(f"{found} found, {passed} passed by")
END
venv/bin/python -c 'import torch; print("torch", torch.__version__)'
echo "guess: 1 found, 0 passed by, for either"
for kind in plain function; do
  export TORCHINDUCTOR_CACHE_DIR=$work/cache-$kind
  venv/bin/python compiled.py $kind > /dev/null
  venv/bin/python compiled.py $kind > $kind
  echo "seen:  second process, $kind: $(cat $kind)"
done
[ "$(cat plain)" = "1 found, 0 passed by" ] && [ "$(cat function)" = "0 found, 1 passed by" ] || { echo changed; exit 1; }
