#!/usr/bin/env bash
# Package: torch 2.13.0 (CPU)
# Guess: torch.save writes the same bytes for the same tensors, whatever the file is called; if there is anything else
#   in it, it is a time, and two calls differ as well.
# What happens: the name of the file, without its ending, is the name of a folder inside of it. best.pt and last.pt
#   have other bytes, the same name in two folders and two calls have the same ones, and a buffer
#   in memory is called "archive".
# Why it matters: weights are compared, cached and kept under the hash of their file: the same weights under two names
#   count as two, and a copy that is renamed keeps the old name inside.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile torch==2.13.0
mkdir other
venv/bin/python -W ignore - <<'END'
import io
import sys
import zipfile
from pathlib import Path

import torch

def saved(name):
    torch.save({"weights": torch.arange(4.0)}, name)
    return Path(name).read_bytes()

print("torch", torch.__version__)
print("guess: the same bytes under any name")
best, again, elsewhere, last = map(saved, ("best.pt", "best.pt", "other/best.pt", "last.pt"))
buffer = io.BytesIO()
torch.save({"weights": torch.arange(4.0)}, buffer)
roots = [zipfile.ZipFile(io.BytesIO(each)).namelist()[0] for each in (best, last, buffer.getvalue())]
print("seen:  two calls", best == again, "two folders", best == elsewhere, "two names", best == last)
print("seen:  first entries", roots)
if not best == again == elsewhere or best == last or [root.split("/")[0] for root in roots] != ["best", "last", "archive"]:
    sys.exit("changed")
END
