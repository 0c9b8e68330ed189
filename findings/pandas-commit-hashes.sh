#!/usr/bin/env bash
# Package: pandas 3.1.1
# Guess: a column of short commit hashes is read as text.
# What happens: while every hash of the column looks like a number they are numbers: 12e4567 is infinity and 0123456
#   loses its zero. One more row with abcdef0 and all are text.
# Why it matters: a results.tsv is fine for weeks and then, with few rows, matches no commit. Say dtype={"commit":
#   str}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile pandas==3.1.1
venv/bin/python - <<'END'
import io
import sys

import pandas as pd

def commits(*hashes, **options):
    lines = ["commit\tval_bpb", *(f"{each}\t0.99" for each in hashes)]
    return pd.read_csv(io.StringIO("\n".join(lines)), sep="\t", **options).commit.tolist()

print("pandas", pd.__version__)
print("guess: text")
few, more = commits("12e4567", "0123456"), commits("12e4567", "0123456", "abcdef0")
print("seen: ", few, "and with one more row", more)
if few != [float("inf"), 123456.0] or more != ["12e4567", "0123456", "abcdef0"]:
    sys.exit("changed")
if commits("12e4567", dtype={"commit": str}) != ["12e4567"]:
    sys.exit("changed: dtype no longer helps")
END
