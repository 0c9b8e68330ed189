#!/usr/bin/env bash
# Package: submitit 1.5.4, its local executor
# Guess: a local job sees the GPUs that CUDA_VISIBLE_DEVICES leaves to the caller; two jobs of one GPU each get
#   different ones.
# What happens: the outer variable is ignored: with gpus_per_node=1 every job gets "0", though the caller was given 3,
#   and all jobs at the same time get the same one; with none asked for it is empty.
# Why it matters: inside an allocation the jobs run on somebody else's card, and all on one: slower trials, not
#   errors. Set the parameter visible_gpus.
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


def seen_by_job():
    return os.environ.get("CUDA_VISIBLE_DEVICES")


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "3"
    executor = submitit.LocalExecutor("logs")
    found = {}
    for asked in (0, 1):
        executor.update_parameters(timeout_min=2, gpus_per_node=asked)
        jobs = [executor.submit(seen_by_job) for _ in range(2)]
        found[asked] = [job.result() for job in jobs]
    executor.update_parameters(visible_gpus=(3,))
    chosen = executor.submit(seen_by_job).result()
    print("submitit", submitit.__version__)
    print("guess: the caller has GPU 3, so a job that asks for one gets 3")
    print("seen:  none asked for", found[0], "one asked for", found[1], "with visible_gpus=(3,)", chosen)
    if found != {0: ["", ""], 1: ["0", "0"]} or chosen != "3":
        sys.exit("changed")
END
venv/bin/python app.py
