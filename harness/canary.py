"""Was the machine under a trial the machine that it was calibrated on? A fixed piece of work of ours tells.

The numbers go into TrialResult.machine under the names of guards/budget_honesty.py, which decides what follows.
"""

import hashlib
import os
import statistics
import subprocess
import time

import psutil

_BYTES = 4 << 20
_REPEATS = 5


def canary_seconds(clock: str) -> float:
    """Time for a fixed piece of work (hashing), the median of several; clock: "cpu" or "wall", as trials are billed."""
    now = time.thread_time if clock == "cpu" else time.perf_counter
    block, taken = bytes(_BYTES), []
    for _ in range(_REPEATS):
        begin = now()
        hashlib.sha256(block).digest()
        taken.append(now() - begin)
    return statistics.median(taken)


def foreign_processes() -> int | None:
    """Processes on this machine's GPUs that are neither ours nor our children's; None where nobody can say."""
    command = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    return sum(line.strip().isdigit() and int(line) not in ours for line in done.stdout.splitlines())
