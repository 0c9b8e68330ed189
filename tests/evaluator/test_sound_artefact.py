"""The artefact that is known to be sound, in a session's folder that has seen a power cut."""

from pathlib import Path

import pytest

from harness.records import Direction, Outcome, TrialResult
from harness.scoring.sound_artefact import SoundArtefact
from harness.task.task import Profile, Task

SOURCE = {"train.py": b"x = 1\n"}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Without a golden artefact: then the session's first scored one is kept in mind."""
    (tmp_path / "task").mkdir()
    for name in ("task.yaml", "prepare.py", "evaluate.py", "program.md", "train.py"):
        (tmp_path / "task" / name).write_text(f"# {name}\n")
    return Task(
        folder=str(tmp_path / "task"),
        metric="loss",
        direction=Direction.MINIMIZE,
        editable=("train.py",),
        profiles={"cpu": Profile(seconds=1.0)},
        artefact="model.json",
    )


def scored(folder: Path, name: str) -> TrialResult:
    (folder / "artefacts").mkdir(exist_ok=True)
    (folder / "artefacts" / name).write_text("1")
    return TrialResult(name, Outcome.COMPLETED, "exit_0", artefact=f"artefacts/{name}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"artefact": 3, "source": {}}', b"\xff"])
def test_a_torn_note_is_made_anew(tmp_path: Path, task: Task, content: bytes) -> None:
    """It is no reason to end a session, and the next score that is scored takes its place."""
    (tmp_path / "sound_artefact.json").write_bytes(content)
    sound = SoundArtefact(task, task.profiles["cpu"], tmp_path)
    assert sound.find() is None
    sound.remember(scored(tmp_path, "one"), SOURCE)
    found = sound.find()
    assert found is not None
    assert (found.artefact.name, found.source) == ("one", SOURCE)


def test_the_first_one_stays_while_it_is_there(tmp_path: Path, task: Task) -> None:
    """Of a session and of those that go on with it; one that was deleted is replaced."""
    first = SoundArtefact(task, task.profiles["cpu"], tmp_path)
    first.remember(scored(tmp_path, "one"), SOURCE)
    first.remember(scored(tmp_path, "two"), {})
    again = SoundArtefact(task, task.profiles["cpu"], tmp_path)
    again.remember(scored(tmp_path, "three"), {})
    assert again.find() is not None
    assert again.find().artefact.name == "one"  # type: ignore[union-attr] # asserted above
    (tmp_path / "artefacts" / "one").unlink()
    later = SoundArtefact(task, task.profiles["cpu"], tmp_path)
    later.remember(scored(tmp_path, "four"), {})
    assert later.find() is not None
    assert later.find().artefact.name == "four"  # type: ignore[union-attr] # asserted above
