"""Reads a repository that is not ours: its commits of some files, oldest first. Writes nothing and runs nothing
of it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from git import Git, GitCommandError

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
    "safe.directory=*",
)
BRANCHES = "refs/heads/autoresearch/"


@dataclass(frozen=True, slots=True)
class Change:
    """One commit. patch: what it changed in the files asked for, in git's format."""

    commit: str
    subject: str
    patch: str


class ForeignRepository:
    """A checkout of somebody's, read with git's plumbing."""

    def __init__(self, folder: Path) -> None:
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
        subject = self._run("show", "-s", "--format=%s", commit)
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
        return Change(commit, subject, patch)

    def _run(self, *command: str, stripped: bool = True) -> str:
        settings = [word for option in _OPTIONS for word in ("-c", option)]
        found = self._git.execute(["git", *settings, *command], strip_newline_in_stdout=stripped)
        assert isinstance(found, str)
        return found
