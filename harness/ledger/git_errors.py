"""Whatever git complains of, said in one line with what to do about it."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from git.exc import GitCommandError, GitError, ODBError

from harness.errors import LedgerError
from harness.ledger.interruption import uninterrupted

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_CURES = {  # what git says -> what to do
    "no space left": "the disk is full: make room and repeat the command",
    "file too large": "a limit on files is reached: raise it and repeat the command",
    "disk quota": "the disk quota is used up: make room and repeat the command",
    "dubious ownership": "it belongs to another user: give it to yourself (chown -R) and repeat the command",
    "permission denied": "it cannot be written: correct its rights and repeat the command",
    "read-only file system": "it cannot be written: mount it writable and repeat the command",
}
_PRUNED = ("not a valid object", "nonexistent object", "invalid object", "unable to read", "missing")
_MOST_PRUNED = 4
_CHATTER = ("hint:", "warning:")  # what git says before what ended it
_DAMAGED = (
    "restore the folder from a copy, or start another session (session.tag=NAME); the ledger is not touched"
)


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Inside, git's errors and the disk's become a LedgerError about the repository at `path`."""
    try:
        yield
    except (GitError, ODBError, OSError) as error:
        what = _complaint(error)
        raise LedgerError(f"git in {path}: {what}; {_cure(path, what)}") from error
    except ValueError as error:
        if type(error) is not ValueError and type(error).__module__.startswith("harness."):
            raise  # our own, e.g. a bad path
        what = first_line(str(error))
        raise LedgerError(f"git in {path}: {what}; {_cure(path, what)}") from error


def again_if_pruned(method: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """For methods that write objects first and what refers to them last, and may be repeated.

    Somebody's `git gc --prune=now` in between takes away what nothing refers to yet.
    """

    @functools.wraps(method)
    def wrapped(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        for _ in range(_MOST_PRUNED):
            try:
                return method(*arguments, **named)
            except (GitError, ODBError, ValueError) as error:
                if not any(word in str(error).lower() for word in _PRUNED):
                    raise
        return method(*arguments, **named)

    return wrapped


def in_one_line(method: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """For methods of a workspace, which has a `path`. A signal waits for their end.

    GitPython's objects are not made to be left in the middle: a file that was half read is read to its end when it is
    freed, which waits for ever where the end had come.
    """

    @functools.wraps(method)
    def wrapped(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        workspace: Any = arguments[0]
        with uninterrupted(), said(workspace.path):
            return method(*arguments, **named)

    return wrapped


def _complaint(error: Exception) -> str:
    text = str(getattr(error, "stderr", "") or getattr(error, "strerror", "") or "").replace("stderr:", " ")
    status = f"it ended with status {error.status}" if isinstance(error, GitCommandError) else str(error)
    said = [line for line in text.strip(" \n'").splitlines() if not line.strip().startswith(_CHATTER)]
    return first_line("\n".join(said)) or first_line(status)


def _cure(path: Path, what: str) -> str:
    known = next((cure for word, cure in _CURES.items() if word in what.lower()), "")
    if "dubious ownership" in what and path.is_dir() and path.stat().st_uid == os.geteuid():
        known = ""  # a guess of GitPython's about whatever it cannot read
    if not known and _is_anothers(path):
        return _CURES["dubious ownership"]  # git left without a word that reached us, e.g. a broken pipe
    return known or (_DAMAGED if path.is_dir() else f"it is gone: {_DAMAGED}")


def gone(path: Path) -> LedgerError:
    """Of a repository that is not there, where rows say that it was."""
    return LedgerError(f"git in {path}: there is no such folder; it is gone: {_DAMAGED}")


def _is_anothers(path: Path) -> bool:
    caller = os.environ.get("SUDO_UID", "")
    return path.is_dir() and path.stat().st_uid not in (os.geteuid(), int(caller) if caller.isdecimal() else -1)


def is_the_machines(error: GitError) -> bool:
    """Whether the disk or the repository's rights are to blame, and no name that git was given."""
    return any(word in _complaint(error).lower() for word in _CURES)


def first_line(text: str) -> str:
    """The first line that says something, "" without one."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
