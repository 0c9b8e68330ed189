"""What a session leaves in a user's project is not taken along by their `git add -A`."""

import subprocess
from pathlib import Path

import pytest

from harness.ledger.own_folder import own_folder


def added(project: Path) -> list[str]:
    """What `git add -A` takes, in a project of its own."""
    for command in ("init", "add -A"):
        subprocess.run(["git", *command.split()], cwd=project, check=True, capture_output=True)
    listed = subprocess.run(["git", "ls-files"], cwd=project, check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def test_a_secret_in_a_folder_of_ours_is_not_added(tmp_path: Path) -> None:
    """The folder is made with its parents; what is beside them is the user's and stays visible."""
    own_folder(tmp_path / "sessions" / "first")
    (tmp_path / "sessions" / "first" / "secret").write_bytes(b"x" * 32)
    (tmp_path / "train.py").write_text("")
    assert added(tmp_path) == ["train.py"]


def test_a_folder_of_the_users_stays_as_it_is(tmp_path: Path) -> None:
    """A session in the project's own folder must not hide the project."""
    (tmp_path / "train.py").write_text("")
    own_folder(tmp_path)
    assert added(tmp_path) == ["train.py"]
    own_folder(tmp_path / "first")
    (tmp_path / "first" / ".gitignore").write_text("secret\n")
    own_folder(tmp_path / "first")
    assert (tmp_path / "first" / ".gitignore").read_text() == "secret\n"
    with pytest.raises(FileExistsError):
        own_folder(tmp_path / "train.py")
