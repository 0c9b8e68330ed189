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

    def file(self, commit: str, name: str) -> bytes:
        """Raises GitCommandError where the commit has no such file."""
        text: bytes = self._run(
            "cat-file", "blob", f"{commit}:{name}", stdout_as_string=False, strip_newline_in_stdout=False
        )
        return text

    def start(self, branch: str, files: Sequence[str]) -> str:
        """The commit before the first change of a branch; "" when there is none."""
        changes = self.changes(branch, files)
        try:
            return self._run("rev-parse", "--verify", f"{changes[0].commit}^") if changes else ""
        except GitCommandError:
            return ""

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
        patch = self._run("diff-tree", *options, commit, "--", *files, strip_newline_in_stdout=False)
        return Change(commit, subject, patch)

    def _run(self, *command: str, **options: bool):  # type: ignore[no-untyped-def] # GitPython: str or bytes by option
        settings = [word for option in _OPTIONS for word in ("-c", option)]
        return self._git.execute(["git", *settings, *command], **options)
