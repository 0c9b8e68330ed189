"""The referee's dice in real trials: seeds and order are drawn anew in each, and are the same for the same seed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfrastructureError
from harness.records import Clock, Direction, Limits, Outcome, Role, TrialResult, TrialSpec
from harness.sandbox.open import open_sandbox
from harness.task import reorder
from harness.task.check_order import reordering
from harness.task.prepare import prepared
from harness.task.task import Profile, Task
from harness.trial.local import Local

PREPARE = """
import json, random
def prepare(public, private):
    (public / "train").mkdir()
    (public / "train" / "rows.json").write_text(json.dumps(list(range(50))))
    (public / "train" / "words.txt").write_text("as it is")
    (private / "val.json").write_text("[]")
"""
REORDER = """
def reorder(train, out, seed):
    print("what it prints is no answer")
    rows = json.loads((train / "rows.json").read_text())
    random.Random(seed).shuffle(rows)
    (out / "rows.json").write_text(json.dumps(rows))
"""
WIRED = """
import json, os, random, subprocess, sys
from pathlib import Path
from harness.gate import open_gate
import numpy as np
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
training = open_gate(options["--data"])
child = [sys.executable, "-c", "import random; print(random.Random(137).random())"]
said = {
    "own": [random.Random(137).random(), np.random.default_rng(137).random(), np.random.rand()],
    "child": subprocess.run(child, capture_output=True, text=True).stdout,
    "order": json.loads(Path(training["rows.json"]).read_text()),
    "words": Path(training["words.txt"]).read_text(),
    "hash": hash("word"),
}
Path(options["--out"], "model.json").write_text(json.dumps(said))
"""


@pytest.fixture
def make_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Task]:
    def made(prepare: str = PREPARE + REORDER, **changes: Any) -> Task:
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
        folder = tmp_path / "wired"
        folder.mkdir()
        for name in ("task.yaml", "evaluate.py", "program.md"):
            (folder / name).write_text("")
        (folder / "prepare.py").write_text(prepare)
        (folder / "train.py").write_text(WIRED)
        profile = Profile(10.0)
        return Task(
            str(folder),
            "loss",
            Direction.MINIMIZE,
            ("train.py",),
            {"cpu": profile},
            artefact="model.json",
            **changes,
        )

    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    session = tmp_path / "session"
    session.mkdir()
    return session


def trials(task: Task, folder: Path, seeds: list[int], local: Local | None = None) -> Iterator[TrialResult]:
    data = prepared(task, "cpu")
    with closing(open_sandbox()) as sandbox:
        executor = (local or Local()).open(sandbox, task, data, task.profiles["cpu"], folder)
        with closing(executor):
            for number, seed in enumerate(seeds):
                spec = TrialSpec(f"t{number}", "", Role.NOISE, seed, Clock("wall", 20.0), Limits())
                yield executor.run(spec, task.source())


def said(task: Task, folder: Path, seeds: list[int], local: Local | None = None) -> list[dict[str, Any]]:
    found = []
    for result in trials(task, folder, seeds, local):
        assert result.outcome is Outcome.COMPLETED, result.log
        found.append(json.loads((folder / result.artefact).read_text()))
    return found


def test_a_wired_seed_and_order_are_drawn_anew_in_each_trial(
    make_task: Callable[..., Task], folder: Path
) -> None:
    """Attack: 137 whatever --seed says, here and in a program that it starts. One trial seed gives the same bits."""
    one, again, other = said(make_task(), folder, [5, 5, 6])
    assert one == again
    for name in ("own", "child", "order"):
        assert one[name] != other[name], name
    assert one["hash"] == other["hash"], "the order of a set is part of the program, as a list in its text is"
    assert sorted(one["order"]) == sorted(other["order"]) == list(range(50))
    assert one["order"] != list(range(50)) != other["order"]
    assert one["words"] == other["words"] == "as it is"
    assert not list(folder.glob("order-*"))


def test_without_the_dice_it_repeats(make_task: Callable[..., Task], folder: Path) -> None:
    """What the dice are there for: switched off, a wired seed is the same stream and the same order every time."""
    one, other = said(make_task(), folder, [5, 6], Local(salted_seeding=False, reordering=False))
    assert one["own"][:2] == other["own"][:2]
    assert one["order"] == other["order"] == list(range(50))


def test_a_task_may_say_why_not(make_task: Callable[..., Task], folder: Path) -> None:
    """unsalted_because in task.yaml, and no reorder(): an honest task that cannot bear it."""
    one, other = said(make_task(PREPARE, unsalted_because="it replays recorded draws"), folder, [5, 6])
    assert (one["child"], one["order"]) == (other["child"], other["order"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no room')", "no room"),
        ("raise SystemExit(3)", "ended"),
        ("(out / 'more.txt').write_text('x')", "no such training file"),
    ],
)
def test_a_failing_reorder_is_ours(
    make_task: Callable[..., Task], folder: Path, body: str, reason: str
) -> None:
    """Never held against a candidate: infra_failed, with what went wrong."""
    (result,) = trials(make_task(PREPARE + f"\ndef reorder(train, out, seed):\n    {body}\n"), folder, [5])
    assert (result.outcome, result.reason) == (Outcome.INFRA_FAILED, "reorder")
    assert reason in result.log


def test_a_missing_artefact_is_explained(make_task: Callable[..., Task], folder: Path) -> None:
    """How long it had, what it took, what to do."""
    task = make_task()
    (task.path / "train.py").write_text(
        "from harness.gate import open_gate\nimport sys\nopen_gate(sys.argv[2])\n"
    )
    (result,) = trials(task, folder, [5])
    assert result.reason == "no_artefact"
    assert "no model.json: it had 20 s from open_gate on; start-up took" in result.log
    assert "write it to --out as model.json" in result.log


@pytest.mark.parametrize(
    ("body", "good", "said"),
    [
        (REORDER, True, "another one for each seed"),
        ("", None, "has no reorder"),
        ("\ndef reorder(train, out, seed):\n    pass\n", False, "the same for two seeds"),
        (REORDER.replace("Random(seed)", "SystemRandom()"), False, "two orders for one seed"),
        (REORDER.replace("rows))", "rows[1:]))"), False, "another size"),
        (REORDER.replace('out / "rows.json"', 'out / "new.json"'), False, "no file of train/"),
        ("\ndef reorder(train, out, seed):\n    raise ValueError('odd')\n", False, "odd"),
    ],
)
def test_check_task_looks_at_the_order(
    make_task: Callable[..., Task], body: str, good: bool | None, said: str
) -> None:
    """Each mistake of a reorder() is told; the honest one passes, and a task without one is told what that means."""
    task = make_task(PREPARE + body)
    profile = task.profiles["cpu"]
    found, text = reordering(task, Profile(1e6) if good else profile, prepared(task, "cpu"))
    assert (found, said in text) == (good, True), text


def test_who_reorders_is_silent_when_its_session_was_killed() -> None:
    """Nobody hears its answer: that is no failure of its own, and no traceback in the terminal."""
    prepare = Path(__file__).resolve().parents[2] / "tasks" / "digits" / "prepare.py"
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", reorder._SERVE, prepare],
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""


def test_who_reorders_is_started_again_after_it_was_killed(tmp_path: Path) -> None:
    """The question that met its end is ours to repeat, and the next one finds another process."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "rows.json").write_text(json.dumps(list(range(50))))
    (tmp_path / "prepare.py").write_text(PREPARE + REORDER)
    for name in ("task.yaml", "evaluate.py", "program.md", "train.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "out").mkdir()
    task = Task(str(tmp_path), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": Profile(3.0)})
    with closing(reorder.Reorderer(task)) as asked:
        assert asked.reorder(tmp_path / "train", tmp_path / "out", 1)
        assert asked._process is not None
        asked._process.kill()
        asked._process.wait()
        with pytest.raises(InfrastructureError):
            asked.reorder(tmp_path / "train", tmp_path / "out", 2)
        assert asked.reorder(tmp_path / "train", tmp_path / "out", 3)
