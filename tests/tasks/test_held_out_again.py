"""check_task finds a task whose held-out data somebody else can make."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records import Direction
from harness.task.check_held_out import held_out, secret_shown, tree_shown
from harness.task.check_imports import late_imports, watched
from harness.task.prepare import prepared
from harness.task.task import Profile, Task

DRAWN = """
import hashlib, json, random
def prepare(public, private, secret):
    (public / "train").mkdir()
    for split in ("train", "val", "test"):
        key = {key}
        generator = random.Random(hashlib.sha256(key).digest())
        rows = [generator.random() for _ in range(500)]
        folder = public / "train" if split == "train" else private
        (folder / f"{{split}}.json").write_text(json.dumps(rows))
    {more}
"""
HONEST = "b'train' if split == 'train' else secret + split.encode()"
FIXED = """
def prepare(public, private):
    (public / "train").mkdir()
    for split in ("val", "test"):
        (private / f"{split}.json").write_text(split * 50)
"""
FROM_A_FILE = """
from pathlib import Path
def prepare(public, private):
    (public / "train").mkdir()
    (private / "val.json").write_bytes((Path(__file__).parent / "customers.csv").read_bytes())
"""
CHOSEN = """
import hashlib, random
from pathlib import Path
def prepare(public, private, secret):
    (public / "train").mkdir()
    given = {given}
    rows = [given[start:start + 200] for start in range(0, 2000, 200)]
    random.Random(secret).shuffle(rows)
    (private / "val.bin").write_bytes(b"".join(rows[:5]))
    (private / "test.bin").write_bytes(b"".join({test}))
"""
FROM_THE_FOLDER = "(Path(__file__).parent / 'customers.csv').read_bytes()"
FROM_THE_PROGRAM = "random.Random(1).randbytes(2000)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "drawn"
    folder.mkdir()
    for name in ("task.yaml", "evaluate.py", "program.md", "train.py"):
        (folder / name).write_text("")
    (folder / "customers.csv").write_bytes(os.urandom(2000))
    return folder


def task(folder: Path, prepare: str, **changes: object) -> Task:
    (folder / "prepare.py").write_text(prepare)
    return Task(str(folder), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": Profile(1.0)}, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prepare", "good", "said"),
    [
        (DRAWN.format(key=HONEST, more=""), True, "two secrets give two sets, 0.0%"),
        (DRAWN.format(key="split.encode()", more=""), False, "two secrets give the same val"),
        (DRAWN.format(key="secret if split == 'val' else b'fixed'", more=""), False, "the same test"),
        (
            CHOSEN.format(given=FROM_THE_FOLDER, test="rows[5:]"),
            True,
            "(the limit is 50%); the task's programs alone",
        ),
        (
            CHOSEN.format(given=FROM_THE_FOLDER, test="sorted(rows)"),
            True,
            "the same test; the task's programs alone",
        ),
        (
            CHOSEN.format(given=FROM_THE_PROGRAM, test="rows[5:]"),
            False,
            "(the limit is 50%); the programs alone",
        ),
        (
            CHOSEN.format(given=FROM_THE_PROGRAM, test="sorted(rows)"),
            False,
            "so a candidate can, too: draw each",
        ),
        (FIXED, False, "programs alone make test.json, val.json anew"),
        (FROM_A_FILE, True, "do not make them"),
    ],
)
def test_data_that_others_can_make_are_found(folder: Path, prepare: str, good: bool, said: str) -> None:
    """Attacks: fixed seeds, a secret that is not used, or for one split only. Honest: drawn with it, or from a file of
    the folder, also where a secret only says which of its rows are val and which test."""
    made = task(folder, prepare)
    found, text = held_out(made, "cpu", prepared(made, "cpu"))
    assert (found, said in text) == (good, True), text


def test_a_task_may_say_why_its_data_are_fixed(folder: Path) -> None:
    """Told, and no failure."""
    made = task(folder, FIXED, fixed_held_out_because="a public leaderboard")
    found, text = held_out(made, "cpu", prepared(made, "cpu"))
    assert found is None
    assert "a public leaderboard" in text


@pytest.mark.parametrize(
    "more",
    [
        "(public / 'meta').write_bytes(b'x' + secret)",
        "(public / 'meta').write_text(secret.hex())",
        "(private / 'key').write_text(str(int.from_bytes(secret)))",
    ],
)
def test_a_secret_that_stands_in_a_file_is_found(folder: Path, more: str) -> None:
    """Attack: with it the data can be made again. The honest twin writes it nowhere."""
    leaking = task(folder, DRAWN.format(key=HONEST, more=more))
    assert secret_shown(leaking, "cpu", prepared(leaking, "cpu"))[0] is False
    honest = task(folder, DRAWN.format(key=HONEST, more=""))
    assert secret_shown(honest, "cpu", prepared(honest, "cpu"))[0] is True


def test_what_a_trial_can_read_is_told(folder: Path) -> None:
    """Neither of the referee's programs, or which and why; without a reason the check fails."""
    assert tree_shown(task(folder, FIXED)) == (
        True,
        "what a trial can read: neither prepare.py nor evaluate.py",
    )
    shown = task(folder, FIXED, readable=("evaluate.py",), readable_because="the metric")
    assert shown.source().keys() == {"train.py", "evaluate.py"}
    found, text = tree_shown(shown)
    assert (found, "says why: the metric" in text) == (None, True)
    found, text = tree_shown(task(folder, FIXED, readable=("evaluate.py",)))
    assert (found, "say why in readable_because" in text) == (False, True)


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"late_seconds": 0.1}, True),
        ({"late_seconds": 1.0, "late_names": "torch._dynamo"}, False),
    ],
)
def test_imports_after_the_gate_are_told(claims: dict[str, object], good: bool) -> None:
    """A twentieth of a trial in imports that could come before the gate is a mistake of the task's."""
    found, text = late_imports(claims, 5.0)  # type: ignore[arg-type]
    assert found is good
    assert good or "torch._dynamo" in text


def test_a_watched_trial_that_was_ended_is_nobodys_mistake() -> None:
    """How it ended is said, and what to do."""
    found, text = late_imports({}, 5.0, "timed_out deadline")
    assert found is None
    assert "(timed_out deadline)" in text
    assert "no mistake of the task's" in text


@pytest.mark.parametrize("end", ["", "os._exit(0)", "os.fork() or os._exit(0); os.wait(); os._exit(0)"])
def test_imports_are_seen_however_the_program_ends(folder: Path, tmp_path: Path, end: str) -> None:
    """os._exit, which the docs advise, hides nothing, and a child that ends by it says nothing of its own."""
    (folder / "train.py").write_text(f"import os\n{end}\n")
    for name, source in watched(task(folder, FIXED)).items():
        (tmp_path / name).write_bytes(source)
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, tmp_path / "train.py", "--out", tmp_path / "out"], check=True)
    (line,) = (tmp_path / "out/claims.jsonl").read_text().splitlines()
    assert late_imports(json.loads(line), 5.0)[0] is True


def test_imports_are_seen_behind_a_script_that_starts_another(folder: Path, tmp_path: Path) -> None:
    """As an adopted checkout's does: it takes the arguments away, and both use any name."""
    start = "import sys\nspent = names = out = tell = None\n"
    start += "sys.argv = ['other.py']\nexec(open(__file__.rpartition('/')[0] + '/train.py').read())\n"
    (folder / "launch.py").write_text(start)
    (folder / "train.py").write_text("out = spent = depth = 3\n")
    made = task(folder, FIXED, script="launch.py", readable=("launch.py",))
    for name, source in watched(made).items():
        (tmp_path / name).write_bytes(source)
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, tmp_path / "launch.py", "--out", tmp_path / "out"], check=True)
    (line,) = (tmp_path / "out/claims.jsonl").read_text().splitlines()
    assert late_imports(json.loads(line), 5.0)[0] is True
