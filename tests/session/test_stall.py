"""Standing still is told apart from a busy machine, with real processes."""

import os
import signal
import subprocess
import sys
import time

LOOKS = """
import sys, time
from harness.trial.stall import StallWatch
watch, end = StallWatch(), time.monotonic() + float(sys.argv[1])
print("ready", flush=True)
while time.monotonic() < end:
    watch.look()
    time.sleep(0.02)
print(watch.seconds)
"""


def looking(seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", LOOKS, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_stopped_watcher_knows_that_it_stood_still() -> None:
    """SIGSTOP for two seconds."""
    process = looking(4.0)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2.0)
    os.kill(process.pid, signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    assert float(output) > 1.5


def test_a_starved_watcher_did_not_stand_still() -> None:
    """A candidate that takes every core, at a better priority, cannot make its trials an infrastructure failure."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        process = looking(3.0)
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        output, _ = process.communicate(timeout=120)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert float(output) < 1.0
