"""A trial may start up beside the score of the one before: the same bits, the gate shut, and nothing left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.records import Clock, Direction, Files, Limits, Outcome, Role, TrialSpec
from harness.sandbox.open import Sandbox, open_sandbox
from harness.task.prepare import prepared
from harness.task.task import Profile, Task
from harness.trial.local import Local, LocalExecutor

PREPARE = """
import json, random
def prepare(public, private):
    (public / "train").mkdir()
    (public / "train" / "rows.json").write_text(json.dumps(list(range(50))))
    (private / "val.json").write_text("[]")
def reorder(train, out, seed):
    rows = json.loads((train / "rows.json").read_text())
    random.Random(seed).shuffle(rows)
    (out / "rows.json").write_text(json.dumps(rows))
"""
TRAIN = """
import json, random, sys, time
from pathlib import Path
from harness.gate import open_gate
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
# before the gate
training = open_gate(options["--data"])
said = {
    "opened": time.time(), "seed": options["--seed"], "drawn": random.Random(137).random(),
    "order": json.loads(Path(training["rows.json"]).read_text()),
}
Path(options["--out"], "model.json").write_text(json.dumps(said))
"""
KILLED = """
import sys
from pathlib import Path
from harness.records import Clock, Limits, Role, TrialSpec
from harness.sandbox.open import open_sandbox
from tests.trial.test_head_start import TRAIN, executor_in
made = executor_in(open_sandbox(), Path(sys.argv[1]), Path(sys.argv[2]))
made.start_ahead(TrialSpec("t", "", Role.NOISE, 5, Clock("wall", 20.0), Limits()), {"train.py": TRAIN.encode()})
made._ahead._begun.result()
print("waits", flush=True)
sys.stdin.read()
"""


def executor_in(sandbox: Sandbox, task_folder: Path, folder: Path, **settings: bool) -> LocalExecutor:
    profile = Profile(20.0)
    task = Task(
        str(task_folder), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": profile}, artefact="model.json"
    )
    return Local(**settings).open(sandbox, task, prepared(task, "cpu"), profile, folder)


@pytest.fixture
def task_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / f"waits-{os.getpid()}"
    folder.mkdir()
    for name in ("task.yaml", "evaluate.py", "program.md"):
        (folder / name).write_text("")
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "train.py").write_text(TRAIN)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "session").mkdir()
    return tmp_path / "session"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(open_sandbox()) as opened:
        yield opened


@pytest.fixture
def executor(sandbox: Sandbox, task_folder: Path, folder: Path) -> Iterator[LocalExecutor]:
    with closing(executor_in(sandbox, task_folder, folder)) as made:
        yield made


def trial(name: str, seed: int, startup: float = 60.0) -> TrialSpec:
    return TrialSpec(name, "", Role.NOISE, seed, Clock("wall", 20.0, startup), Limits())


def program(before: str = "") -> Files:
    return {"train.py": TRAIN.replace("# before the gate", before).encode()}


def said(executor: LocalExecutor, folder: Path, spec: TrialSpec, source: Files) -> dict[str, object]:
    """Without the time, which is its own."""
    result = executor.run(spec, source)
    assert result.outcome is Outcome.COMPLETED, result.log
    found: dict[str, object] = json.loads((folder / result.artefact).read_text())
    return {name: value for name, value in found.items() if name != "opened"}


def await_gate(executor: LocalExecutor) -> None:
    """Until the program that starts up has asked for its data, or has ended."""
    assert executor._ahead is not None
    executor._ahead._begun.result(60)


def test_the_same_seed_gives_the_same_bits_either_way(executor: LocalExecutor, folder: Path) -> None:
    """Seed, dice and order of the data are those of its trial, whenever its program began."""
    plain = said(executor, folder, trial("a", 5), program())
    executor.start_ahead(trial("b", 5), program())
    assert said(executor, folder, trial("b", 5), program()) == plain
    assert said(executor, folder, trial("c", 6), program()) != plain


def test_the_gate_is_shut_until_it_is_asked_for(executor: LocalExecutor, folder: Path) -> None:
    """However early it has started up, its time begins later; what it waited is no part of its start-up."""
    begun = time.monotonic()
    executor.start_ahead(trial("a", 5), program("time.sleep(0.2)"))
    await_gate(executor)
    time.sleep(0.5)
    asked, waited = time.time(), time.monotonic() - begun
    result = executor.run(trial("a", 5), program("time.sleep(0.2)"))
    assert json.loads((folder / result.artefact).read_text())["opened"] >= asked
    ahead = result.machine["ahead_seconds"]
    assert 0.2 <= ahead <= waited - 0.5
    assert result.startup_seconds >= ahead
    assert 0 < result.machine["ahead_cpu_seconds"] <= result.cpu_seconds
    assert result.wall_seconds >= result.startup_seconds + result.billed_seconds - 0.01


@pytest.mark.parametrize("changed", ["seed", "source", "commit", "budget"])
def test_another_order_drops_it(executor: LocalExecutor, folder: Path, changed: str) -> None:
    """It serves the very trial that it was begun for; any other one begins anew, and nothing is left of it."""
    other, source = trial("a", 6 if changed == "seed" else 5), program("pass" if changed == "source" else "")
    other = replace(other, commit="c" if changed == "commit" else "")
    other = trial("a", 5, startup=30.0) if changed == "budget" else other
    plain = said(executor, folder, other, source)
    executor.start_ahead(trial("a", 5), program())
    await_gate(executor)
    result = executor.run(other, source)
    assert "ahead_seconds" not in result.machine
    assert {**json.loads((folder / result.artefact).read_text()), "opened": 0} == {**plain, "opened": 0}
    assert executor._ahead is None
    assert not list(folder.glob("order-*"))


def test_a_program_that_fails_before_its_gate_is_told_as_ever(executor: LocalExecutor) -> None:
    """A crash, a start-up that takes too long and a tree that cannot be written are the candidate's, with its words."""
    cases = [
        (program("raise SystemExit(3)"), 60.0),
        (program("time.sleep(60)"), 0.3),
        ({**program(), "\n/../x": b""}, 60.0),
    ]
    for number, (source, startup) in enumerate(cases):
        spec = trial(f"t{number}", 5, startup)
        plain = executor.run(spec, source)
        executor.start_ahead(spec, source)
        result = executor.run(spec, source)
        assert (result.outcome, result.reason) == (plain.outcome, plain.reason)
    assert plain.reason == "bad_tree"


def test_a_wait_is_nobodys_start_up(executor: LocalExecutor) -> None:
    """A long score does not use up the time that a program may take before it asks."""
    spec = trial("a", 5, startup=2.0)
    executor.start_ahead(spec, program())
    await_gate(executor)
    time.sleep(2.1)
    assert executor.run(spec, program()).outcome is Outcome.COMPLETED


def test_what_nobody_asks_for_ends_with_the_session(
    sandbox: Sandbox, task_folder: Path, folder: Path
) -> None:
    """At the gate or on the way to it."""
    for waits in (True, False):
        executor = executor_in(sandbox, task_folder, folder)
        executor.start_ahead(trial("a", 5), program("# unasked" * 3))
        if waits:
            await_gate(executor)
        begun = executor._ahead
        executor.close()
        assert begun is not None
        assert begun._begun.result()[0].process.wait(0) is not None
    assert not list(folder.iterdir())


def test_it_is_killed_with_the_harness(task_folder: Path, folder: Path) -> None:
    """kill -9 while one waits at its gate: no process of it stays, and no folder."""
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(task_folder), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"waits\n"
        mine = descendants(child.pid)
        assert mine
        child.send_signal(signal.SIGKILL)
        child.wait()
        while any(os.path.exists(f"/proc/{pid}") for pid in mine):
            time.sleep(0.02)
    assert not list(folder.iterdir())


def descendants(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_where_billing_starts_with_the_process_nothing_is_begun(
    sandbox: Sandbox, task_folder: Path, folder: Path
) -> None:
    """No training data, no gate: and nothing either where what a program compiles is kept for its later trials."""
    (task_folder / "prepare.py").write_text("def prepare(public, private): pass\n")
    with closing(executor_in(sandbox, task_folder, folder)) as ungated:
        ungated.start_ahead(trial("a", 5), program())
        assert ungated._ahead is None
    (task_folder / "prepare.py").write_text(PREPARE)
    with closing(executor_in(sandbox, task_folder, folder, compile_once=True)) as compiling:
        compiling.start_ahead(trial("a", 5), program())
        assert compiling._ahead is None
