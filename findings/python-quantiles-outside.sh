#!/usr/bin/env bash
# Package: CPython 3.11 (its statistics module; nothing is installed), numpy 2.4.6 beside it
# Guess: statistics.quantiles gives numbers between the smallest and the largest of the data, as numpy.percentile does.
# What happens: by its default method ("exclusive") the line through the two outermost values goes on beyond them: the
#   95th percentile of 10, 11, 12, 13, 20 is 24.9, the first tenth of 1, 2 is 0.3. numpy gives 18.6 and 1.1, and so
#   does method="inclusive".
# Why it matters: a 95th percentile of few times or scores is above all that were seen, and a timeout, a tolerance or
#   an interval that is taken from it is wider than the data.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile numpy==2.4.6
venv/bin/python - <<'END'
import platform
import statistics
import sys

import numpy

times = [10, 11, 12, 13, 20]
seen = [statistics.quantiles(times, n=20)[-1], statistics.quantiles([1, 2], n=10)[0]]
inclusive = [
    statistics.quantiles(times, n=20, method="inclusive")[-1],
    statistics.quantiles([1, 2], n=10, method="inclusive")[0],
]
by_numpy = [float(numpy.percentile(times, 95)), float(numpy.percentile([1, 2], 10))]
print("python", platform.python_version(), "numpy", numpy.__version__)
print("guess: at most 20, at least 1")
print("seen: ", seen, "inclusive", inclusive, "numpy", by_numpy)
if not (seen[0] > 20 and seen[1] < 1 and numpy.allclose(inclusive, by_numpy)):
    sys.exit("changed")
END
