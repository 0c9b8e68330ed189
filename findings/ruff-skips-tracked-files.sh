#!/usr/bin/env bash
# Package: ruff 0.17.5, and the git of this machine
# Guess: ruff check . looks at every file that git tracks.
# What happens: it reads .gitignore itself: a file that a pattern names but that was added all the same (git add -f,
#   or a pattern that came later) is skipped, and "All checks passed". Named on the command line it is checked.
# Why it matters: a broad pattern (data/, build/, report.*) switches a linter off for shipped source, and continuous
#   integration stays green.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile ruff==0.17.5
git init -q .
mkdir data
echo 'import os' >data/prepare.py
git add -f data/prepare.py
echo 'data/' >.gitignore
venv/bin/ruff --version
folder=0 named=0
venv/bin/ruff check --isolated -q . || folder=$?
venv/bin/ruff check --isolated -q data/prepare.py >/dev/null || named=$?
echo "guess: status 1 (an unused import in a tracked file) for both"
echo "seen:  ruff check .: status $folder; ruff check data/prepare.py: status $named; tracked: $(git ls-files)"
[ "$folder $named" = "0 1" ] || {
  echo changed
  exit 1
}
