"""From nothing to a task of one's own: new_task, check_task, and docs/tasks.md followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.commands import new_task, run
from harness.task import check_leak
from harness.task.check_forgery import forger, sayer
from harness.task.task import Profile, Task

DOCS = Path(__file__).parents[2] / "docs" / "tasks.md"


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, "HARNESS_CACHE": str(folder / "cache")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_template_is_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that the schema asks for is there, and the name is in the pages."""
    monkeypatch.chdir(tmp_path)
    assert run(new_task.main, argv=["flowers"]) == 0
    folder = tmp_path / "tasks" / "flowers"
    task = Task(
        str(folder), "squared_error", "minimize", ("train.py",), {"cpu": Profile(2)}, artefact="model.json"
    )  # type: ignore[arg-type]
    assert task.source().keys() == {"train.py"}
    assert (folder / "README.md").read_text().startswith("# flowers\n")
    assert list((folder / "replay").iterdir())


@pytest.mark.parametrize(
    "arguments", [[], ["Bad"], ["../x"], ["a-b"], ["a" * 41], ["digits"], ["--x"], ["a", "b", "c"]]
)
def test_mistakes_are_one_line_and_leave_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, no folder; `digits` is a name that is taken."""
    monkeypatch.chdir(tmp_path)
    assert run(new_task.main, "harness.new_task", arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(new_task.main, argv=["mine"]) == 0
    (tmp_path / "tasks/mine/train.py").write_text("mine")
    assert run(new_task.main, argv=["mine"]) == 2
    assert (tmp_path / "tasks/mine/train.py").read_text() == "mine"


@given(st.binary(min_size=200, max_size=400), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_a_planted_window_is_found_wherever_it_lies(secret: bytes, offset: int, seed: int) -> None:
    """Digests depend on the bytes of a window alone, not on where it starts."""
    noise = np.random.default_rng(seed).integers(0, 256, offset, np.uint8)
    content = np.frombuffer(secret, np.uint8)
    inside = check_leak.digests_of(np.concatenate([noise, content]))
    assert set(check_leak.digests_of(content).tolist()) <= set(inside.tolist())


def test_held_out_data_in_public_are_seen(tmp_path: Path) -> None:
    """Attack and honest twin: half of the private text lies in public; other text of the same kind does not."""
    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice([*"abcdefghijklmnopqrst uvw"], 20_000)) for _ in range(2)]
    public, private = tmp_path / "public", tmp_path / "private"
    for folder, text in ((public, texts[0]), (private, texts[1])):
        folder.mkdir()
        (folder / "text.txt").write_text(text)
    share, same = check_leak.leak(public, private)
    assert (share, same) == (0.0, [])
    (public / "more.bin").write_text("x" * 77 + texts[1][:10_000])
    share, same = check_leak.leak(public, private)
    assert 0.45 < share < 0.55
    (public / "copy").write_text(texts[1])
    assert check_leak.leak(public, private) == (1.0, ["text.txt"])


def test_padding_is_no_leak(tmp_path: Path) -> None:
    """Zeros occur everywhere."""
    for name in ("public", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.npy").write_bytes(bytes(5000) + name.encode())
    assert check_leak.leak(tmp_path / "public", tmp_path / "private") == (0.0, [])


def test_forgers_are_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What check_task lets loose compiles; otherwise it would be rejected for the wrong reason."""
    monkeypatch.chdir(tmp_path)
    run(new_task.main, argv=["mine"])
    task = Task(
        "tasks/mine", "squared_error", "minimize", ("train.py",), {"cpu": Profile(2)}, artefact="model.json"
    )  # type: ignore[arg-type]
    compile(forger(task)["train.py"], "train.py", "exec")
    compile(sayer(task, "None")["train.py"], "train.py", "exec")


def blocks() -> dict[str, str]:
    """Title -> text of the code blocks of the docs that are files."""
    found = re.findall(r"```\w+ title=(\S+)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return dict(found)


def test_the_docs_hold_a_whole_task() -> None:
    """Every file that the reader is told to write is there, and the Python among them compiles."""
    names = {Path(title).name for title in blocks()}
    assert names >= {
        "prepare.py",
        "train.py",
        "evaluate.py",
        "task.yaml",
        "program.md",
        "0001-more-epochs.patch",
    }
    for title, text in blocks().items():
        if title.endswith(".py"):
            compile(text, title, "exec")


@pytest.mark.slow
def test_the_template_passes_its_check_and_runs(tmp_path: Path) -> None:
    """`new_task`, `check_task` and a session, one after the other, as the messages say."""
    assert call(tmp_path, "harness.new_task", "flowers").returncode == 0
    checked = call(tmp_path, "harness.check_task", "flowers")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAIL" not in checked.stdout
    session = call(tmp_path, "harness", "task=flowers", "budget.certificate=2", "tracking=none")
    assert session.returncode == 0, session.stdout + session.stderr
    assert "0001" in session.stdout or "rate" in session.stdout


@pytest.mark.slow
def test_the_docs_work_to_the_letter(tmp_path: Path) -> None:
    """A reader's scikit-learn script, from nothing to a session with its recorded proposal."""
    pytest.importorskip("sklearn", reason="the docs tell the reader to install it")
    assert call(tmp_path, "harness.new_task", "churn").returncode == 0
    for patch in (tmp_path / "tasks/churn/replay").iterdir():
        patch.unlink()
    for title, text in blocks().items():
        (tmp_path / title).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "make_customers.py"], cwd=tmp_path, check=True)
    checked = call(tmp_path, "harness.check_task", "churn")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    session = call(tmp_path, "harness", "task=churn", "budget.certificate=2", "tracking=none")
    assert session.returncode == 0, session.stdout + session.stderr
    assert (tmp_path / "sessions").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        (
            "prepare.py",
            'folder = public / "train" if split == "train" else private',
            "folder = private",
            "trial",
        ),
        ("evaluate.py", "    return float(answer)", "    return float(answer)\n", ""),
        ("evaluate.py", "raise ValueError", "raise TypeError", "garbage"),
        (
            "prepare.py",
            '        (folder / f"{split}.json").write_text(json.dumps(rows))',
            '        (folder / f"{split}.json").write_text(json.dumps(rows))\n'
            '        (public / f"{split}.json").write_text(json.dumps(rows))',
            "held-out",
        ),
    ],
)
def test_a_task_with_a_mistake_fails_its_check(
    tmp_path: Path, file: str, old: str, new: str, line: str
) -> None:
    """Each mistake fails its own line; a change that is none fails nothing."""
    assert call(tmp_path, "harness.new_task", "mine").returncode == 0
    path = tmp_path / "tasks/mine" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    checked = call(tmp_path, "harness.check_task", "mine")
    failed = [found for found in checked.stdout.splitlines() if found.startswith("FAIL")]
    assert checked.returncode == (1 if line else 0), checked.stdout + checked.stderr
    assert all(line in found for found in failed)
    assert bool(failed) == bool(line)
