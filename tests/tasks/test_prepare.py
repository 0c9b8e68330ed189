"""A task's data are made once, completely or not at all."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError, UserError
from harness.records import Direction
from harness.task.budget import Budget
from harness.task.prepare import cache_folder, held_out_secret, prepared
from harness.task.secret import kept_secret
from harness.task.task import Profile, Task

PREPARE = """
def prepare(public, private):
    (public / "train").mkdir()
    (public / "train" / "a.txt").write_text("words")
    (private / "val.txt").write_text("val")
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("task.yaml", "evaluate.py", "program.md", "train.py"):
        (folder / name).write_text("")
    (folder / "prepare.py").write_text(PREPARE)
    return Task(str(folder), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": Profile(1.0)})


def test_data_are_made_once(task: Task) -> None:
    """The second call finds them; another prepare.py makes others; nobody but the owner reads what is private."""
    first = prepared(task, "cpu")
    assert (first.public / "train" / "a.txt").read_text() == "words"
    assert (first.private.stat().st_mode & 0o777) == 0o700
    (first.public / "mark").write_text("")
    assert (prepared(task, "cpu").public / "mark").exists()
    (task.path / "prepare.py").write_text(PREPARE.replace('"words")', '"more")'))
    assert prepared(task, "cpu") != first
    assert first.public.exists()


def test_what_is_apart_from_data_does_not_make_them_anew(task: Task) -> None:
    """A file that trials read and prepare.py does not may change; every other readable one is another preparation."""
    for name in ("pace.json", "shared.json"):
        (task.path / name).write_text("1")
    named = replace(task, readable=("pace.json", "shared.json"), apart_from_data=("pace.json",))
    first = prepared(named, "cpu")
    (task.path / "pace.json").write_text("2")
    assert prepared(named, "cpu") == first
    (task.path / "shared.json").write_text("2")
    assert prepared(named, "cpu") != first
    with pytest.raises(ValueError, match=r"readable files only, not train\.py"):
        replace(task, apart_from_data=("train.py",))


def test_data_that_an_installed_package_brings_along_hold_nothing_out(task: Task) -> None:
    """Every trial reads what is installed; where the package is not, the task's own download is the only copy."""
    with pytest.raises(UserError, match="scikit-learn is installed"):
        prepared(replace(task, data_packages=("no-such-thing", "scikit-learn")), "cpu")
    assert prepared(replace(task, data_packages=("no-such-thing",)), "cpu").private.exists()


def test_a_failing_prepare_is_one_line_and_leaves_nothing(task: Task) -> None:
    """The words of prepare.py reach the user; a later call starts anew."""
    (task.path / "prepare.py").write_text(
        "def prepare(public, private):\n    raise OSError('no such host')\n"
    )
    with pytest.raises(UserError, match=r"prepare\.py of task small failed: .*OSError: no such host"):
        prepared(task, "cpu")
    assert [file for file in (cache_folder() / "tasks").iterdir() if file.suffix != ".lock"] == []


def test_the_user_chooses_what_prepare_offers(task: Task, tmp_path: Path) -> None:
    """What stands behind the star, and nothing else; other choices are other data, and other files there as well."""
    text = PREPARE.replace("private):", "private, profile, *, words='none'):").replace('"words")', "words)")
    (task.path / "prepare.py").write_text(text)
    folder = tmp_path / "mine"
    folder.mkdir()
    chosen = {"words": str(folder)}
    first = prepared(task, "cpu", choices=chosen)
    assert (first.public / "train" / "a.txt").read_text() == str(folder)
    assert (prepared(task, "cpu").public / "train" / "a.txt").read_text() == "none"
    assert prepared(task, "cpu", choices=chosen) == first
    (folder / "new.txt").write_text("a file more")
    assert prepared(task, "cpu", choices=chosen) != first
    with pytest.raises(UserError, match=r"data\.word: task small offers words"):
        prepared(task, "cpu", choices={"word": 3})


def test_prepare_may_ask_for_the_profile(task: Task) -> None:
    """A third parameter gets the profile's name; each profile has data of its own."""
    text = PREPARE.replace("private):", "private, profile):").replace('"words")', "profile)")
    (task.path / "prepare.py").write_text(text)
    assert (prepared(task, "gpu").public / "train" / "a.txt").read_text() == "gpu"
    assert prepared(task, "gpu") != prepared(task, "cpu")


SECRETIVE = """
import os, sys
def prepare(public, private, secret):
    assert secret not in os.environb.values() and secret.hex() not in " ".join([*sys.argv, *os.environ.values()])
    (private / "val.txt").write_bytes(secret)
"""


def test_prepare_may_ask_for_the_secret(task: Task) -> None:
    """It is the cache's, the same again, another for another task; it is in no environment and on no command line."""
    (task.path / "prepare.py").write_text(SECRETIVE)
    secret = (prepared(task, "cpu").private / "val.txt").read_bytes()
    assert len(secret) == 32
    assert secret == held_out_secret(task, "cpu") != held_out_secret(task, "gpu")
    assert (prepared(task, "cpu", b"another").private / "val.txt").read_bytes() == b"another"
    kept = cache_folder() / "private" / "held_out_secret"
    assert kept.read_bytes() != secret
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    kept.unlink()
    assert (prepared(task, "cpu").private / "val.txt").read_bytes() != secret


@pytest.mark.parametrize(
    "content", [b"", b"short", bytes(32), b"a" * 32, b"longer than thirty-two bytes of chance"]
)
def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty, cut or zeroed file would make every seed predictable: one line, and no other one is drawn instead."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="is no secret"):
        kept_secret(path)
    assert path.read_bytes() == content


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Attack: a mode that lets others in. The honest twin is drawn once, and found again."""
    path = tmp_path / "secret"
    secret = kept_secret(path)
    assert kept_secret(path) == secret
    path.chmod(0o640)
    with pytest.raises(UserError, match="can be read by others: chmod 600"):
        kept_secret(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"predictor": "tokens"}, "predictor tokens needs classes"),
        ({"editable": ()}, "editable is empty"),
        ({"editable": ("evaluate.py",)}, "they are the referee's"),
        ({"editable": ("../train.py",)}, "not a plain path"),
        ({"readable": ("missing.py",)}, "has no file missing.py"),
        ({"artefact": "model.pkl"}, r"must be a \.safetensors or \.json"),
        ({"predictor": "words"}, "not one of tokens"),
        ({"determinism": "mostly"}, "not one of bitwise"),
    ],
)
def test_a_wrong_task_is_refused(task: Task, change: dict[str, object], said: str) -> None:
    """The constructor is the schema: each mistake has its own sentence."""
    with pytest.raises(ValueError, match=said):
        replace(task, **change)  # type: ignore[arg-type] # wrong on purpose


def test_the_budget_overrides_the_profile(task: Task) -> None:
    """What is not None wins; an unknown profile lists those that there are."""
    profile = Budget(seconds=7.0, clock="cpu", steps=10).trial_profile(task)
    assert (profile.seconds, profile.clock, profile.steps, profile.threads) == (7.0, "cpu", 10, 1)
    with pytest.raises(UserError, match="it has: cpu"):
        Budget(profile="gpu").trial_profile(task)
    with pytest.raises(UserError, match="clock 'sun'"):
        Budget(clock="sun").trial_profile(task)


def test_what_a_killed_process_drew_is_swept(tmp_path: Path) -> None:
    """Half-made secrets go with the next look; one that a living process draws stays."""
    secret = kept_secret(tmp_path / "secret")
    dead, living = tmp_path / ".secret.999999999.new", tmp_path / f".secret.{os.getpid()}.new"
    for half in (dead, living):
        half.write_bytes(b"x")
    assert kept_secret(tmp_path / "secret") == secret
    assert (dead.exists(), living.exists()) == (False, True)


def test_a_full_disk_is_not_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no secret can be drawn for want of room, the machine is to blame; nothing half is left."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarnessError, match="cannot be used: No space left on device") as caught:
        kept_secret(tmp_path / "secret")
    assert not isinstance(caught.value, UserError)
    assert not [*tmp_path.iterdir()]
