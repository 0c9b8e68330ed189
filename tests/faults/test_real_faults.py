"""A real session on the smallest task, struck again and again: by kills of itself, its group and each kind of child of
the referee's, by signals and stops. It ends as an undisturbed one does.

A trial's own program is left alone: whoever ends it has ended the candidate, and that is its crash. A predictor's is
not: its score is made once more.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.ledger import chain
from tests.faults.checks import (
    assert_each_trial_once,
    assert_nothing_left,
    assert_nothing_lost,
    rows_of,
    verdicts,
)

COMMAND = (
    "task=digits", "budget=smoke", "budget.steps=400", "budget.seconds=20", "budget.certificate=2", "session.tag=one",
)  # fmt: skip
KINDS = ("kill", "kill_group", "child", "child", "child", "terminate", "interrupt", "stop")
CHILDREN = ("harness.sandbox.launcher", "predictor_host", "referee_process", "machine_probe_kernel", "git")
FAULTS = 24
DICE = int(os.environ.get("FAULT_DICE", "0"))  # another number: other faults at other moments


def started(folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *COMMAND, f"session.folder={folder}"],
            stdout=stream, stderr=stream, start_new_session=True, env=environment,
        )  # fmt: skip


def strike(kind: str, pid: int, draw: random.Random) -> str:
    """What was struck, "" where there was nothing of that kind at that moment."""
    if kind == "child":
        children = psutil.Process(pid).children(recursive=True)
        ours = [each for each in children if any(name in " ".join(each.cmdline()) for name in CHILDREN)]
        if not ours:
            return ""
        chosen = draw.choice(ours)
        about = " ".join(chosen.cmdline())[:80]
        chosen.kill()
        return about
    if kind == "stop":
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(pid, signal.SIGCONT)
    elif kind == "kill_group":
        os.killpg(pid, signal.SIGKILL)
    else:
        number = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}[kind]
        os.kill(pid, number)
    return kind


@pytest.mark.faults
@pytest.mark.parametrize("number", range(2))
def test_a_real_session_under_faults(number: int, tmp_path: Path) -> None:
    """Each fault at a random moment of a sitting; after each, nothing that was written is lost."""
    draw = random.Random(number + 1000 * DICE)
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    for folder in (whole, struck):
        (folder / "tmp").mkdir(parents=True)
    assert started(whole, tmp_path / "whole.log").wait() == 0, (tmp_path / "whole.log").read_text()
    (struck / "one").mkdir()
    shutil.copy(whole / "one" / "secret", struck / "one" / "secret")  # the same seeds
    log, before = tmp_path / "struck.log", []
    for _ in range(FAULTS // 2):
        process = started(struck, log)
        time.sleep(draw.uniform(0.5, 8.0))
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            kind = draw.choice(KINDS)
            about = strike(kind, process.pid, draw)
            with log.open("a") as stream:
                stream.write(f"--- {kind}: {about}\n")
            if kind in ("child", "stop"):
                time.sleep(draw.uniform(0.5, 3.0))
                os.kill(process.pid, signal.SIGTERM)
        process.wait(180)
        rows = rows_of(struck / "one")
        assert_nothing_lost(before, rows)
        before = rows
    assert started(struck, log).wait() == 0, log.read_text()[-3000:]
    chain.check(struck / "one")
    rows = rows_of(struck / "one")
    assert_nothing_lost(before, rows)
    assert_each_trial_once(rows)
    assert verdicts(rows) == verdicts(rows_of(whole / "one"))
    assert "Traceback (most recent call last)" not in "".join(
        line for line in log.read_text().splitlines(keepends=True) if "/trial/tree/" not in line
    )
    assert_nothing_left(struck / "one")
