"""A profile's overlay: its own program for an agent to improve, under the same referee."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.agents.context import AgentContext
from harness.agents.controls.replay import Replay
from harness.config.setup import Setup, load
from harness.records import Direction
from harness.task.golden import golden_source
from harness.task.prepare import prepared
from harness.task.task import Profile, Task, TaskData

FILES = ("train.py", "prepare.py", "evaluate.py", "program.md", "task.yaml")
PREPARE = "import helper\ndef prepare(public, private):\n    (public / 'word').write_text(helper.WORD)\n"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Two profiles, of which `big` has a train.py, a program.md and a replay folder of its own."""
    folder = tmp_path / "two"
    (folder / "large" / "replay").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"small {name}")
    for name in ("train.py", "program.md"):
        (folder / "large" / name).write_text(f"large {name}")
    (folder / "large" / "replay" / "0001-a.patch").write_text("")
    profiles = {"small": Profile(1.0), "big": Profile(2.0, overlay="large")}
    (folder / "words.py").write_text("small words.py")
    return Task(
        str(folder),
        "loss",
        Direction.MINIMIZE,
        ("train.py",),
        profiles,
        readable=("words.py",),
        references={"guess": 1.0},
    )


def test_a_profile_brings_its_own_program(task: Task) -> None:
    """What may be edited, the notes and the recorded proposals are the profile's; the rest is the task's."""
    big = task.for_profile("big")
    assert big.source() == {
        "train.py": b"large train.py",
        "words.py": b"small words.py",
    }
    assert big.program_text == "large program.md"
    assert big.file("replay") == big.path / "large" / "replay"
    assert (big.name, big.path, big.editable) == (task.name, task.path, task.editable)
    assert (task.for_profile("small").references, big.references) == ({"guess": 1.0}, {})
    data = TaskData(task.path, task.path)
    Replay().open(AgentContext(None, big, data, big.profiles["big"], task.path))


def test_without_an_overlay_nothing_changes(task: Task) -> None:
    """Also on the way back, and for a profile that there is not."""
    assert task.for_profile("small") == task
    assert task.for_profile("big").for_profile("small").source() == task.source()
    assert task.for_profile("none") is task


def test_the_referees_files_cannot_be_replaced(task: Task) -> None:
    """One evaluate.py, one prepare.py, one set of readable files for every profile."""
    for name in ("evaluate.py", "prepare.py", "task.yaml"):
        file = task.path / "large" / name
        file.write_text("")
        with pytest.raises(ValueError, match=f"overlay large may not hold {name}: it is the referee's"):
            replace(task)
        file.unlink()


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("none", "has no folder none to overlay"),
        ("../two", "not a plain path"),
        ("train.py", "has no folder"),
    ],
)
def test_a_wrong_overlay_is_refused(task: Task, overlay: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(task, profiles={"small": Profile(1.0, overlay=overlay)})


def test_a_golden_artefact_keeps_the_program_of_its_profile(task: Task) -> None:
    """Whatever profile is chosen now: golden/train.py goes with the readable files."""
    (task.path / "golden").mkdir()
    (task.path / "golden" / "train.py").write_text("golden")
    assert golden_source(task.for_profile("big").for_profile("small"))["train.py"] == b"golden"


def test_what_prepare_imports_is_part_of_the_datas_name(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another module beside prepare.py makes the data anew; another train.py does not."""
    monkeypatch.setenv("HARNESS_CACHE", str(task.path.parent / "cache"))
    (task.path / "prepare.py").write_text(f"import sys\nsys.path.insert(0, {str(task.path)!r})\n{PREPARE}")
    (task.path / "helper.py").write_text("WORD = 'one'")
    first = prepared(task, "small")
    (task.path / "train.py").write_text("changed")
    (task.path / "large" / "train.py").write_text("changed")
    assert prepared(task, "small") == first
    (task.path / "helper.py").write_text("WORD = 'two, not one'")
    second = prepared(task, "small")
    assert [(data.public / "word").read_text() for data in (first, second)] == ["one", "two, not one"]


def test_what_prepare_prints_reaches_the_user(
    task: Task, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Notices and the progress of a download, on the stream for people."""
    monkeypatch.setenv("HARNESS_CACHE", str(task.path.parent / "cache"))
    (task.path / "prepare.py").write_text("def prepare(public, private):\n    print('3 of 9 MB')\n")
    prepared(task, "small")
    out, err = capfd.readouterr()
    assert (out, "3 of 9 MB\n" in err) == ("", True)


def chosen(profile: str) -> Setup:
    return load(["task=query_expansion", f"budget.profile={profile}"])


def test_the_command_line_picks_it_with_the_profile() -> None:
    """budget.profile=language_model: another program for the agent, another session, the same metric and referee."""
    small, large = chosen("cpu"), chosen("language_model")
    assert b"GPT2" in large.task.source()["train.py"]
    assert b"GPT2" not in small.task.source()["train.py"]
    assert "GPT-2" in large.task.program_text
    assert large.fingerprint != small.fingerprint
    assert large.task.references == {} != small.task.references
    for name in ("words.py", "evaluate.py"):
        assert large.task.source()[name] == small.task.source()[name]
