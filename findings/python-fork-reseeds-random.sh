#!/usr/bin/env bash
# Package: numpy 2.4.6 and CPython 3.11's random module
# Guess: a forked child inherits every generator's state, so that after seeding the parent all children draw the same
#   numbers, in each run again.
# What happens: of numpy's global generator that is so. Python's own `random` seeds itself anew in every forked child,
#   from the system's entropy: two children differ, and no seed in the parent makes them repeat.
# Why it matters: whoever starts trials as forks of an interpreter that is warm (a server, a zygote, multiprocessing's
#   default on Linux until Python 3.14) and seeds before forking has half of the generators repeat and half not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q numpy==2.4.6
venv/bin/python - <<'END'
import os
import platform
import random
import sys

import numpy

def drawn_in_a_fork():
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, f"{random.random()} {numpy.random.random()}".encode())
        os._exit(0)
    os.wait()
    return os.read(reading, 200).decode().split()

print("CPython", platform.python_version(), "numpy", numpy.__version__)
random.seed(1)
numpy.random.seed(1)
first, second = drawn_in_a_fork(), drawn_in_a_fork()
print("guess: both the same in two children")
print("seen:  random the same:", first[0] == second[0], "numpy the same:", first[1] == second[1])
if (first[0] == second[0], first[1] == second[1]) != (False, True):
    sys.exit("changed")
END
