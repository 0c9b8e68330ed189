"""Reads a repository that is not ours: its commits of some files, oldest first. Writes nothing and runs nothing
of it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git import Git, GitCommandError

from harness.ledger import callers_git

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_OPTIONS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.attributesFile=" + os.devnull,
    "diff.orderFile=" + os.devnull,
    "safe.directory=*",
)
BRANCHES = "refs/heads/autoresearch/"


@dataclass(frozen=True, slots=True)
class Change:
    """One commit. patch: what it changed in the files asked for, in git's format. before: those files as they were
    then, the ones that there were; None for the first commit of a history.
    """

    commit: str
    subject: str
    patch: str
    before: Mapping[str, bytes] | None


class ForeignRepository:
    """A checkout of somebody's, read with git's plumbing."""

    def __init__(self, folder: Path) -> None:
        callers_git.forget()
        self._git = Git(folder)
        self._git.update_environment(**_ENVIRONMENT)

    def branches(self) -> list[str]:
        """Names below autoresearch/, the one committed to last first; none where there is no repository."""
        try:
            text = self._run("for-each-ref", "--sort=-committerdate", "--format=%(refname)", BRANCHES)
        except GitCommandError:
            return []
        return text.split()

    def changes(self, branch: str, files: Sequence[str]) -> list[Change]:
        """What each commit of a branch changed in `files`, oldest first, merges left out; up to where it left the
        others.
        """
        others = [
            name
            for name in self._run("for-each-ref", "--format=%(refname)", "refs/heads/").split()
            if name != branch
        ]
        mains = [name for name in others if not name.startswith(BRANCHES)]
        listed = self._run(
            "rev-list", "--reverse", "--no-merges", branch, *(f"^{name}" for name in mains), "--", *files
        )
        return [self._change(commit, files) for commit in listed.split()]

    def _change(self, commit: str, files: Sequence[str]) -> Change:
        subject = self._run("diff-tree", "-s", "--root", "--format=%s", commit)  # `show` heeds the user's settings
        options = (
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--no-renames",
            "--root",
            "-p",
            "--no-commit-id",
        )
        patch = self._run("diff-tree", *options, commit, "--", *files, stripped=False)
        return Change(commit, subject, patch, self._before(commit, files))

    def files(self, commit: str, names: Sequence[str]) -> dict[str, bytes]:
        """Their content in a commit; left out where it has none."""
        listed = self._run("ls-tree", "-r", "-z", commit, "--", *names).split("\0")
        there = {
            entry.partition("\t")[2] for entry in listed if entry.startswith("100")
        }  # no link, no submodule
        return {name: self._content(commit, name) for name in names if name in there}

    def _before(self, commit: str, files: Sequence[str]) -> dict[str, bytes] | None:
        parents = self._run("rev-list", "--parents", "-n", "1", commit).split()[1:]
        return self.files(parents[0], files) if parents else None

    def _content(self, commit: str, name: str) -> bytes:
        found = self._git.execute([*self._command(), "cat-file", "blob", f"{commit}:{name}"],
            strip_newline_in_stdout=False, stdout_as_string=False)  # fmt: skip
        assert isinstance(found, bytes)
        return found

    def _command(self) -> list[str]:
        return ["git", *(word for option in _OPTIONS for word in ("-c", option))]

    def _run(self, *command: str, stripped: bool = True) -> str:
        found = self._git.execute([*self._command(), *command], strip_newline_in_stdout=stripped)
        assert isinstance(found, str)
        return found
