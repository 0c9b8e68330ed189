"""The only file that touches git: the referee's own bare repository, out of every agent's reach.

Branch `autoresearch/<tag>` holds the baseline and one commit a keep; every proposal, rejected ones too, is a
commit at `refs/proposals/NNNN`, so that nothing is lost. Trees are written from bytes and read back as bytes:
no work tree, no hooks, no filters, no configuration but ours.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from git import Blob, Git, Repo
from git.exc import GitCommandError, GitError

from harness.ledger import callers_git
from harness.ledger.git_errors import again_if_pruned, first_line, gone, in_one_line, is_the_machines, said
from harness.ledger.interruption import uninterrupted
from harness.records import Files

FOLDER_NAME = "repository.git"
BASELINE_REF = "refs/harness/baseline"
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": os.devnull,
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
    "GIT_CONFIG_KEY_2": "core.fsync",
    "GIT_CONFIG_VALUE_2": "committed",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "harness",
    "GIT_AUTHOR_EMAIL": "harness@localhost",
    "GIT_COMMITTER_NAME": "harness",
    "GIT_COMMITTER_EMAIL": "harness@localhost",
}
_PLAIN_FILE = "100644"
_LOCK_SECONDS = 2.0


class BadPath(ValueError):
    """A proposal names a path that cannot be part of a tree."""


class Workspace:
    """One session's repository. Commits are named by their full hexadecimal hash."""

    def __init__(self, folder: Path, tag: str, reading: bool = False, new: bool = True) -> None:
        """Opens the repository in the session's folder, or makes it. reading: touches nothing, so that it can be done
        while the session goes on. new: whether it may be made; of a session that has begun it is there.

        Raises LedgerError, one line that says what to do, here and in every method for whatever git complains of:
        a full disk, a repository that is gone or damaged or somebody else's.
        """
        callers_git.forget()
        path = folder / FOLDER_NAME
        self.branch = f"autoresearch/{tag}"
        self.path = path
        with said(path):
            if not path.exists() and (reading or not new):
                raise gone(path)
            if not reading:
                _free_of_locks(path)
            with uninterrupted():
                self._repo = Repo(path) if path.exists() else _new_repository(path)
            self._repo.git.update_environment(**_ENVIRONMENT)
            self._git = self._repo.git
            if not reading:
                self._take_branch()

    def _take_branch(self) -> None:
        """Of a session whose folder has another name by now, the branch gets that name, too."""
        ours = f"refs/heads/{self.branch}"
        if not self._resolve(ours):
            names = self._text(self._git.for_each_ref("--format=%(refname)", "refs/heads/autoresearch")).split()
            if len(names) == 1:
                self._git.update_ref(ours, names[0])
                self._git.symbolic_ref("HEAD", ours)
                self._git.update_ref("-d", names[0])
        if not self.path.joinpath("HEAD").read_text().strip().endswith(self.branch):
            self._git.symbolic_ref("HEAD", ours)

    def close(self) -> None:
        self._repo.close()

    @in_one_line
    @again_if_pruned
    def start(self, files: Files) -> str:
        """Commit the baseline as the branch's root (once) and return its commit.

        Where a start was killed before its first row the files may be others by now: then it is made anew.
        """
        existing = self._resolve(BASELINE_REF)
        if existing and (self.holds_proposals() or self.files(existing) == dict(files)):
            return existing
        commit = self._commit(files, (), "Baseline: the task as it is")
        self._git.update_ref(f"refs/heads/{self.branch}", commit)
        self._git.update_ref(BASELINE_REF, commit)  # last: says that all the rest is there
        return commit

    @in_one_line
    def expect(self, commits: Collection[str]) -> None:
        """Raises LedgerError where one of them is not here."""
        with _input("\n".join([*commits, ""]).encode()) as stream:
            found = self._text(
                self._git.cat_file("--batch-check=%(objectname) %(objecttype)", istream=stream)
            )
        for commit, line in zip(commits, found.splitlines(), strict=True):
            if line != f"{commit} commit":
                raise GitError(f"the commit {commit[:40]} of the ledger is not in it")

    @in_one_line
    def holds_proposals(self) -> bool:
        """Whether a session has been here."""
        return bool(self._text(self._git.for_each_ref("--count=1", "refs/proposals")))

    @in_one_line
    @again_if_pruned
    def propose(self, number: int, parent: str, changed: Files, deleted: Sequence[str], message: str) -> str:
        """Commit a proposal on its parent at refs/proposals/NNNN. Raises BadPath."""
        files = {name: content for name, content in self.files(parent).items() if name not in deleted}
        commit = self._commit({**files, **changed}, (parent,), message)
        self._git.update_ref(f"refs/proposals/{number:04d}", commit)
        return commit

    @in_one_line
    @again_if_pruned
    def keep(self, candidate: str, message: str, trailers: Mapping[str, str]) -> str:
        """Add the candidate's tree to the branch, with trailers; repeating a keep changes nothing."""
        head = self.head()
        tree = self._git.rev_parse(f"{candidate}^{{tree}}")
        if tree == self._git.rev_parse(f"{head}^{{tree}}"):
            return head
        last = "\n".join(f"{key}: {value}" for key, value in trailers.items())
        commit = self._commit_tree(tree, (head,), f"{message.strip() or 'No rationale'}\n\n{last}")
        self._git.update_ref(f"refs/heads/{self.branch}", commit, head)
        return commit

    @in_one_line
    def head(self) -> str:
        """The branch's tip: the baseline, or the last keep."""
        return self._resolve(f"refs/heads/{self.branch}")

    @in_one_line
    @again_if_pruned
    def roll_back(self, race: int, head: str, message: str, trailers: Mapping[str, str]) -> str:
        """Note on the branch, with its tree as it is, that the stack under `head` failed; it stays at refs/stacks."""
        self._git.update_ref(f"refs/stacks/{race:04d}", head)
        tip = self.head()
        last = "\n".join(f"{key}: {value}" for key, value in trailers.items())
        commit = self._commit_tree(f"{tip}^{{tree}}", (tip,), f"{message}\n\n{last}")
        self._git.update_ref(f"refs/heads/{self.branch}", commit, tip)
        return commit

    @in_one_line
    def commits(self) -> list[str]:
        """The branch's commits after the baseline, oldest first: keeps and roll-backs."""
        range_ = f"{self._resolve(BASELINE_REF)}..refs/heads/{self.branch}"
        return self._text(self._git.rev_list("--reverse", range_)).split()

    @in_one_line
    def keeps(self) -> list[str]:
        """Those of them that changed something, oldest first."""
        return [commit for commit in self.commits() if not self.same_tree(commit, f"{commit}^")]

    @in_one_line
    def files(self, commit: str) -> Files:
        """Every file of a commit, as bytes."""
        found = self._repo.commit(commit).tree.traverse()
        return {str(item.path): item.data_stream.read() for item in found if isinstance(item, Blob)}

    @in_one_line
    def patch(self, parent: str, commit: str) -> str:
        """Unified diff, for people and for `git apply`."""
        options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
        return self._text(self._git.diff(*options, parent, commit, strip_newline_in_stdout=False))

    @in_one_line
    def same_tree(self, one: str, other: str) -> bool:
        trees = self._text(self._git.rev_parse(f"{one}^{{tree}}", f"{other}^{{tree}}")).split()
        return trees[0] == trees[1]

    @in_one_line
    def without(self, commit: str, head: str = "") -> Files | None:
        """A head's files with one commit taken back (three-way, file by file); None where that conflicts.

        head: default the branch's tip.
        """
        base, ours, theirs = (self.files(name) for name in (commit, head or self.head(), f"{commit}^"))
        result = dict(ours)
        for name in base.keys() | theirs.keys():
            if base.get(name) == theirs.get(name):
                continue
            sides = [version.get(name) for version in (ours, base, theirs)]
            if any(side is None for side in sides):
                return None
            merged = merge(*cast("list[bytes]", sides))
            if merged is None:
                return None
            result[name] = merged
        return result

    def _resolve(self, name: str) -> str:
        """A name's commit; "" where there is no such name, which --quiet says without a word."""
        try:
            return self._text(self._git.rev_parse("--verify", "--quiet", name))
        except GitCommandError as error:
            if first_line(error.stderr):
                raise
            return ""

    def _commit(self, files: Files, parents: Sequence[str], message: str) -> str:
        return self._commit_tree(self._tree(files), parents, message)

    def _commit_tree(self, tree: str, parents: Sequence[str], message: str) -> str:
        options = [option for parent in parents for option in ("-p", parent)]
        clean = message.replace("\0", "").encode("utf-8", "replace")
        with _input(clean) as stream:
            return self._text(self._git.commit_tree(tree, *options, "-F", "-", istream=stream))

    def _tree(self, files: Files) -> str:
        entries = []
        for name, content in sorted(files.items()):
            _check_path(name)
            with _input(content) as stream:
                blob = self._git.hash_object("-w", "--stdin", "--no-filters", istream=stream)
            entries.append(f"{_PLAIN_FILE} {blob}\t{name}\0".encode())
        with tempfile.TemporaryDirectory() as folder, _input(b"".join(entries)) as stream:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
            with self._git.custom_environment(**index):
                try:
                    self._git.update_index("-z", "--add", "--index-info", istream=stream)
                    return self._text(self._git.write_tree())
                except GitCommandError as error:
                    if is_the_machines(error):
                        raise
                    raise BadPath(f"git refuses a path: {first_line(error.stderr)}") from error

    @staticmethod
    def _text(output: object) -> str:
        assert isinstance(output, str)
        return output


def _new_repository(path: Path) -> Repo:
    """Under another name until it is whole: a kill in the middle leaves nothing that looks like a repository.

    Nothing of the user's own git is in it: no template with hooks, no other format of objects or refs.
    """
    making = path.with_suffix(".new")
    shutil.rmtree(making, ignore_errors=True)
    git = Git(path.parent)
    git.update_environment(**_ENVIRONMENT)
    try:
        git.init("--bare", "--quiet", "--template=", str(making.absolute()))
        making.rename(path)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Repo(path)


def _free_of_locks(path: Path) -> None:
    """Removes the lock files of a git that was killed with its session; one that still runs may end first.

    Only the session's one process, which holds the folder's lock, starts git here.
    """
    end = time.monotonic() + _LOCK_SECONDS
    while locks := list(path.rglob("*.lock")):
        if time.monotonic() > end:
            for lock in locks:
                lock.unlink(missing_ok=True)
            return
        time.sleep(0.05)


def merge(ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """Three-way merge of one file by `git merge-file`; None where the changes overlap."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            Path(folder, name).write_bytes(content)
            names.append(os.path.join(folder, name))
        git = Git(folder)
        git.update_environment(**_ENVIRONMENT)
        status, output, _ = git.merge_file("-p", "--quiet", *names, **_AS_BYTES)
    return cast("bytes", output) if status == 0 else None


_AS_BYTES = {
    "with_extended_output": True,
    "with_exceptions": False,
    "stdout_as_string": False,
    "strip_newline_in_stdout": False,
}


_MOST_PATH_CHARACTERS, _MOST_DEPTH = 512, 32  # git's work grows with the square of the depth


def _check_path(name: str) -> None:
    parts = name.split("/")
    if len(name) > _MOST_PATH_CHARACTERS or len(parts) > _MOST_DEPTH:
        raise BadPath(
            f"{name[:40]!r}... is too long: {_MOST_PATH_CHARACTERS} characters and {_MOST_DEPTH} folders are allowed"
        )
    if name.startswith("/") or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise BadPath(f"{name!r} is not a path inside the tree")
    if any(character in name for character in "\0\n\t\r"):
        raise BadPath(f"{name!r} holds a control character")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadPath(f"{name!r} is not text") from None


def _input(content: bytes) -> IO[bytes]:
    stream = tempfile.TemporaryFile()  # noqa: SIM115 -- the caller closes it
    stream.write(content)
    stream.seek(0)
    return stream
