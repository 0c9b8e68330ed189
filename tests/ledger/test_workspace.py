"""The repository: bytes in, bytes out, and nothing of anybody else's runs or is written."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from git import Git
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ledger.interruption import ended_by_signals
from harness.ledger.workspace import FOLDER_NAME, BadPath, Workspace

BASE = {"train.py": b"a = 1\n\n\n\nb = 2\n\n\n\nc = 3\n", "data/odd": b"\xff\x00\r\n$Id$\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path, "tag")
    made.start(BASE)
    return made


def edited(old: bytes, new: bytes) -> dict[str, bytes]:
    return {"train.py": BASE["train.py"].replace(old, new)}


def kept(workspace: Workspace, number: int, parent: str, files: dict[str, bytes]) -> str:
    commit = workspace.propose(number, parent, files, [], f"proposal {number}")
    workspace.keep(commit, f"proposal {number}", {"Metric": "bpb 1.0"})
    return commit


def test_a_keep_is_one_commit_with_trailers(workspace: Workspace) -> None:
    """The branch grows by one; repeating the keep changes nothing; git itself finds the trailers."""
    baseline = workspace.head()
    commit = kept(workspace, 1, baseline, edited(b"a = 1", b"a = 5"))
    assert len(workspace.keeps()) == 1
    workspace.keep(commit, "again", {})
    assert len(workspace.keeps()) == 1
    trailers = workspace._git.log("-1", "--format=%(trailers)", workspace.head())
    assert trailers.strip() == "Metric: bpb 1.0"
    assert workspace.files(workspace.head()) == {**BASE, **edited(b"a = 1", b"a = 5")}


def test_everything_is_found_again(tmp_path: Path, workspace: Workspace) -> None:
    """Opening the folder anew shows the same branch, head and files; `start` does not start over."""
    commit = kept(workspace, 1, workspace.head(), edited(b"a = 1", b"a = 5"))
    workspace.close()
    again = Workspace(tmp_path, "tag")
    assert again.files(commit)["train.py"].startswith(b"a = 5")
    assert again.start({"other": b""}) != again.head()
    assert len(again.keeps()) == 1


def test_one_keep_can_be_taken_back_from_the_middle(workspace: Workspace) -> None:
    """Ablation: the others' changes stay; where they overlap there is no answer."""
    first = kept(workspace, 1, workspace.head(), edited(b"a = 1", b"a = 5"))
    both = workspace.files(first)["train.py"].replace(b"c = 3", b"c = 7")
    kept(workspace, 2, first, {"train.py": both})
    without = workspace.without(workspace.keeps()[0])
    assert without == {**BASE, **edited(b"c = 3", b"c = 7")}
    kept(workspace, 3, workspace.head(), {"train.py": both.replace(b"a = 5", b"a = 6")})
    assert workspace.without(workspace.keeps()[0]) is None


@settings(max_examples=15)
@given(st.dictionaries(st.sampled_from(["a", "b/c", "b/d e", "ü.py"]), st.binary(max_size=60), min_size=1))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """No filter, no line-ending conversion, no encoding: a tree is its bytes."""
    workspace = Workspace(tmp_path_factory.mktemp("w"), "tag")
    assert workspace.files(workspace.start(files)) == files
    workspace.close()


@pytest.mark.parametrize(
    "name",
    [
        *["../x", "/x", ".git/hooks/x", "a/.GIT/x", "a//b", "a/../b", "a\nb", "a\0b", "", "\ud800"],
        *["x" * 513, "d/" * 32 + "x"],
    ],
)
def test_a_path_outside_the_tree_is_refused(workspace: Workspace, name: str) -> None:
    """Whatever git thinks of a path, these do not even reach it."""
    with pytest.raises(BadPath):
        workspace.propose(1, workspace.head(), {name: b"x"}, [], "bad")
    assert workspace.propose(2, workspace.head(), {"fine/name.py": b"x", "d/" * 31 + "x": b"x"}, [], "good")


def test_nothing_of_the_users_git_is_used_or_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, filters, attributes and settings of the user's own git do not run; GIT_DIR does not lead astray."""
    trap = tmp_path / "trap"
    home = tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    for hook in ("reference-transaction", "post-commit", "pre-commit"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {trap}\n")
        (hooks / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hooks}\nautocrlf = true\nattributesFile = {home}/attributes\n"
        f'[filter "evil"]\nclean = touch {trap}; cat\n'
    )
    (home / "attributes").write_text("* filter=evil text\n")
    monkeypatch.setenv("HOME", str(home))
    other = tmp_path / "other.git"
    subprocess.run(["git", "init", "-q", "--bare", str(other)], check=True, env={**os.environ, "HOME": "/"})
    monkeypatch.setenv("GIT_DIR", str(other))
    folder = tmp_path / "session"
    folder.mkdir()
    workspace = Workspace(folder, "tag")
    workspace.start(BASE)
    kept(workspace, 1, workspace.head(), edited(b"a = 1", b"a = 5"))
    assert workspace.files(workspace.head())["data/odd"] == BASE["data/odd"]
    assert not trap.exists()
    assert (folder / FOLDER_NAME / "refs" / "proposals" / "0001").exists()
    assert not list((other / "objects").glob("??"))


def test_a_session_whose_folder_was_renamed(tmp_path: Path) -> None:
    """Its branch takes the new name, once, with all its keeps; nothing of the old name is left."""
    first = Workspace(tmp_path, "old")
    baseline = first.start({"train.py": b"a = 1\n"})
    head = kept(first, 1, baseline, {"train.py": b"a = 2\n"})
    first.close()
    for _ in range(2):
        renamed = Workspace(tmp_path, "new", new=False)
        assert renamed.head() == renamed._git.rev_parse("HEAD")
        assert renamed.files(renamed.head()) == renamed.files(head)
        assert len(renamed.keeps()) == 1
    branches = renamed._git.for_each_ref("--format=%(refname)", "refs/heads").split()
    assert branches == ["refs/heads/autoresearch/new"]


def test_a_signal_waits_until_git_is_done(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a file it would leave a stream that waits for ever when it is freed, in the middle of opening a
    repository one that complains."""
    read, done = Git.CatFileContentStream.read, []

    def struck(stream: object, size: int = -1) -> bytes:
        os.kill(os.getpid(), signal.SIGINT)
        content = read(stream, size)
        done.append(content)
        return content

    monkeypatch.setattr(Git.CatFileContentStream, "read", struck)
    with ended_by_signals(), pytest.raises(KeyboardInterrupt):
        workspace.files(workspace.head())
    assert {*BASE.values()} <= {*done}  # folders are read the same way
    monkeypatch.undo()
    assert workspace.files(workspace.head()) == BASE
