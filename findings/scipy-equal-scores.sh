#!/usr/bin/env bash
# Package: scipy 1.17.1 with numpy 2.4.6
# Guess: five equal scores: the bootstrap interval of the mean is that score. Two sides of equal scores each: the t
#   test gives nan or p = 0, for it has no variance.
# What happens: the default (BCa) interval is nan to nan, percentile gives the score; the t test of three 0.9 against
#   three 0.8 gives a finite t of some 1e15 and p about 1e-60: it divides by a rounding error.
# Why it matters: deterministic tasks give equal scores. One summary is nan, the other absurdly certain; neither
#   raises.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'END'
import math
import sys
import warnings

import numpy as np
import scipy
from scipy import stats

warnings.simplefilter("ignore")
print("scipy", scipy.__version__, "numpy", np.__version__)
print("guess: 0.9 to 0.9; t nan, or infinite with p 0")
default = stats.bootstrap(([0.9] * 5,), np.mean, rng=0).confidence_interval
percentile = stats.bootstrap(([0.9] * 5,), np.mean, rng=0, method="percentile").confidence_interval
test = stats.ttest_ind([0.9] * 3, [0.8] * 3)
print("seen:  default", *default, "percentile", *percentile)
print("seen:  t", test.statistic, "p", test.pvalue)
if not all(map(math.isnan, default)) or not np.allclose(percentile, 0.9):
    sys.exit("changed: interval")
if not math.isfinite(test.statistic) or not 0 < test.pvalue < 1e-30:
    sys.exit("changed: t test")
END
