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
from typing import Any

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
    """What was struck, "" where there was nothing of that kind until its end."""
    if kind == "child":
        return strike_child(pid, draw)
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


def strike_child(pid: int, draw: random.Random) -> str:
    """One of a kind that is drawn, if there is one in time, else of any; a slow machine has none for a while."""
    wanted, end = draw.choice(CHILDREN), time.monotonic() + 10.0
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        ours = children(pid)
        likely = {about: each for about, each in ours.items() if about.startswith(wanted)}
        if likely or (ours and time.monotonic() > end):
            about, chosen = draw.choice(sorted((likely or ours).items()))
            chosen.kill()
            return about
        time.sleep(0.01)
    return ""


def children(pid: int) -> dict[str, psutil.Process]:
    """One of each kind that there is now: by its kind and depth below the harness."""
    found = {}
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            line = " ".join(each.cmdline())
            for name in CHILDREN:
                if name in line:
                    found[f"{name} {len(each.parents())}"] = each
    return found


def over(folder: Path) -> bool:
    """Whether nothing is left for a sitting to do."""
    return any(row["kind"] == "certificate" for row in rows_of(folder))


def new_session(place: Path, whole: Path) -> Path:
    """With the same seeds."""
    (place / "tmp").mkdir(parents=True)
    (place / "one").mkdir()
    shutil.copy(whole / "one" / "secret", place / "one" / "secret")
    return place


def check(struck: Path, whole: Path, before: list[dict[str, Any]], log: Path) -> None:
    """What it came to in the end."""
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


@pytest.mark.faults
@pytest.mark.parametrize("number", range(2))
def test_a_real_session_under_faults(number: int, tmp_path: Path) -> None:
    """Each fault at a random moment of a sitting; after each, nothing that was written is lost.

    A session that is over makes room for another, so that faults do not fall on sittings with nothing to do.
    """
    draw = random.Random(number + 1000 * DICE)
    whole = tmp_path / "whole"
    (whole / "tmp").mkdir(parents=True)
    assert started(whole, tmp_path / "whole.log").wait() == 0, (tmp_path / "whole.log").read_text()
    struck, log = new_session(tmp_path / "struck0", whole), tmp_path / "struck0.log"
    before: list[dict[str, Any]] = []
    for fault in range(FAULTS // 2):
        process = started(struck, log)
        time.sleep(draw.uniform(0.5, 8.0))
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            kind = draw.choice(KINDS)
            about = strike(kind, process.pid, draw)
            with log.open("a") as stream:
                stream.write(f"--- {kind}: {about}\n")
            if kind in ("child", "stop") and draw.random() < 0.5:  # else it goes on to its end
                time.sleep(draw.uniform(0.5, 3.0))
                os.kill(process.pid, signal.SIGTERM)
        process.wait(180)
        rows = rows_of(struck / "one")
        assert_nothing_lost(before, rows)
        before = rows
        if over(struck / "one"):
            check(struck, whole, before, log)
            struck, log = (
                new_session(tmp_path / f"struck{fault + 1}", whole),
                tmp_path / f"struck{fault + 1}.log",
            )
            before = []
    check(struck, whole, before, log)


def await_score(folder: Path, process: "subprocess.Popen[bytes]", earlier: int) -> None:
    """Until one more trial has finished and is being scored: the next one starts up beside that."""
    while process.poll() is None:
        rows = rows_of(folder) if (folder / "ledger.jsonl").is_file() else []
        if rows and rows[-1]["kind"] == "trial_finished" and len(rows) > earlier:
            return
        time.sleep(0.005)


@pytest.mark.faults
def test_a_session_that_is_killed_while_a_trial_waits_at_its_gate(tmp_path: Path) -> None:
    """kill -9 and Ctrl-C beside scores: no finished trial is lost or made twice, the one that waited is made at its own
    seed, and nothing of it is left."""
    whole = tmp_path / "whole"
    (whole / "tmp").mkdir(parents=True)
    assert started(whole, tmp_path / "whole.log").wait() == 0, (tmp_path / "whole.log").read_text()
    assert any("ahead_seconds" in row.get("machine", {}) for row in rows_of(whole / "one"))
    struck, log = new_session(tmp_path / "struck", whole), tmp_path / "struck.log"
    before: list[dict[str, Any]] = []
    for kind, wait in (("kill", 0.05), ("kill_group", 0.2), ("interrupt", 0.1), ("kill", 0.3)):
        process = started(struck, log)
        await_score(struck / "one", process, len(before))
        time.sleep(wait)
        with contextlib.suppress(ProcessLookupError):
            strike(kind, process.pid, random.Random(0))
        process.wait(180)
        rows = rows_of(struck / "one")
        assert_nothing_lost(before, rows)
        before = rows
    check(struck, whole, before, log)
