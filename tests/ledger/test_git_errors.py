"""Whatever happens to a session's repository, people read one line that says what to do."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from git.exc import GitCommandError

from harness.errors import LedgerError
from harness.ledger.git_errors import said
from harness.ledger.workspace import FOLDER_NAME, BadPath, Workspace


def without_objects(repository: Path) -> None:
    for folder in (repository / "objects").iterdir():
        shutil.rmtree(folder)


def of_another_user(repository: Path) -> None:
    os.chown(repository, 65534, 65534)


def an_empty_head(repository: Path) -> None:
    (repository / "HEAD").write_text("")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "restore the folder from a copy"),
        (without_objects, "restore the folder from a copy"),
        (an_empty_head, "restore the folder from a copy"),
        (lambda repository: (repository / "config").write_text("[core"), "restore the folder from a copy"),
    ],
)
def test_a_damaged_repository_is_one_line(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    """A deleted repository, missing objects, an empty HEAD, a broken configuration."""
    workspace = Workspace(tmp_path, "test")
    commit = workspace.start({"train.py": b"x = 1\n"})
    damage(tmp_path / FOLDER_NAME)
    with pytest.raises(LedgerError) as caught:  # noqa: PT012 -- whichever comes first
        workspace.propose(1, commit, {"train.py": b"x = 2\n"}, (), "two")
        workspace.keep(commit, "again", {})
        Workspace(tmp_path, "test").files(commit)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
def test_a_repository_of_another_user_is_one_line(tmp_path: Path) -> None:
    """Git refuses it; people are told whose it has to be."""
    workspace = Workspace(tmp_path, "test")
    commit = workspace.start({"train.py": b"x = 1\n"})
    of_another_user(tmp_path / FOLDER_NAME)
    with pytest.raises(LedgerError, match="it belongs to another user: give it to yourself"):
        Workspace(tmp_path, "test").propose(1, commit, {"train.py": b"x = 2\n"}, (), "two")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
@pytest.mark.parametrize("caller", ["", "nobody", "-7", "1e3"])
def test_an_odd_caller_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: str) -> None:
    """Of what sudo would say in the environment anything may stand there."""
    Workspace(tmp_path, "test").start({"train.py": b"x = 1\n"})
    of_another_user(tmp_path / FOLDER_NAME)
    monkeypatch.setenv("SUDO_UID", caller)
    with pytest.raises(LedgerError, match="it belongs to another user: give it to yourself"):
        Workspace(tmp_path, "test", reading=True).head()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
def test_a_pipe_that_git_closed_first_is_no_damage(tmp_path: Path) -> None:
    """Git may have left before it was asked: the pipe's error says nothing, the folder's owner does."""
    tmp_path.joinpath("theirs").mkdir()
    of_another_user(tmp_path / "theirs")
    with (
        pytest.raises(LedgerError, match="Broken pipe; it belongs to another user"),
        said(tmp_path / "theirs"),
    ):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def test_a_proposals_bad_path_is_still_the_proposals(tmp_path: Path) -> None:
    """Only the machine's faults become the machine's errors."""
    workspace = Workspace(tmp_path, "test")
    commit = workspace.start({"train.py": b"x = 1\n"})
    with pytest.raises(BadPath):
        workspace.propose(1, commit, {"../x": b""}, (), "outside")


def test_what_git_hints_at_is_not_what_ended_it(tmp_path: Path) -> None:
    """Its advice about names of branches comes first; the full disk is what people need to know."""
    text = "hint: Using 'master' as the name\nwarning: x\nfatal: cannot write: No space left on device"
    with pytest.raises(LedgerError, match=r"fatal: cannot write: .*the disk is full: make room"), said(tmp_path):
        raise GitCommandError("init", 128, text)


def test_a_repository_takes_nothing_of_the_users_own_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates and settings of theirs: no hook and no other format gets into a session's repository."""
    (tmp_path / "template" / "hooks").mkdir(parents=True)
    (tmp_path / "template" / "hooks" / "reference-transaction").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "template" / "hooks" / "reference-transaction").chmod(0o755)
    settings = f"[init]\n templateDir = {tmp_path / 'template'}\n defaultObjectFormat = sha256\n defaultBranch = x\n"
    (tmp_path / ".gitconfig").write_text(settings)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "session"
    folder.mkdir()
    workspace = Workspace(folder, "test")
    commit = workspace.start({"train.py": b"x = 1\n"})
    assert len(commit) == 40
    assert not (folder / FOLDER_NAME / "hooks").exists()
    assert [file.name for file in folder.iterdir()] == [FOLDER_NAME]


def test_a_gc_that_prunes_what_is_not_referred_to_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the objects of a commit and its ref: it is made once more, and a repository that is damaged is told."""
    workspace = Workspace(tmp_path, "test")
    kept, times = Workspace._commit_tree, []

    def pruned(self: Workspace, tree: str, parents: Sequence[str], message: str) -> str:
        times.append(tree)
        if len(times) in (1, 2, 4):
            (self.path / "objects" / tree[:2] / tree[2:]).unlink()
        return kept(self, tree, parents, message)

    monkeypatch.setattr(Workspace, "_commit_tree", pruned)
    baseline = workspace.start({"train.py": b"x = 1\n"})
    commit = workspace.propose(1, baseline, {"train.py": b"x = 2\n"}, (), "two")
    assert len(times) == 5
    workspace.expect([baseline, commit])
    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=workspace.path, check=True)
    assert workspace.keep(commit, "kept", {})
    assert workspace.files(workspace.head()) == {"train.py": b"x = 2\n"}
    again = Workspace(tmp_path, "test", new=False)
    again.expect([baseline, commit])
    assert again.patch(baseline, commit)
