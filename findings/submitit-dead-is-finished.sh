#!/usr/bin/env bash
# Package: submitit 1.5.4, its local executor
# Guess: the state of a job whose process ended with status 3 and without a result is FAILED.
# What happens: it is FINISHED, as of a job that returned. A job that raised is FINISHED, too; only result() tells
#   them apart.
# Why it matters: a loop that waits for states counts dead trials as done. Ask for the result or the exception.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile submitit==1.5.4
cat >app.py <<'END'
import os
import sys

import submitit


def returns():
    return 1


def raises():
    raise ValueError("a mistake")


def dies():
    os._exit(3)


if __name__ == "__main__":
    executor = submitit.LocalExecutor("logs")
    executor.update_parameters(timeout_min=2)
    jobs = {job.__name__: executor.submit(job) for job in (returns, raises, dies)}
    found = {}
    for name, job in jobs.items():
        error = job.exception()
        found[name] = (job.state, type(error).__name__ if error else None)
    print("submitit", submitit.__version__)
    print("guess: FINISHED, FAILED, FAILED")
    print("seen: ", found)
    if [state for state, _ in found.values()] != ["FINISHED"] * 3 or found["dies"][1] != "UncompletedJobError":
        sys.exit("changed")
END
venv/bin/python app.py
