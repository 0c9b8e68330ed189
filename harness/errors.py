"""Every error that crosses a module boundary.

HarnessError
├── UserError            the user's mistake: one line, exit code 2, nothing lost
│   └── FolderInUse      another process has the session open
├── LedgerError          the ledger is damaged or belongs to another session
├── InfrastructureError  ours or the machine's: retried, never held against a candidate
│   └── SandboxUnavailable
└── AgentError           the agent cannot go on (no key, limit reached, provider down)
"""

import errno
import os
import sys

_OURS = ("harness", "guards", "tasks")


class HarnessError(Exception):
    """Base of all; its text is one line that says what to do."""


class UserError(HarnessError):
    """Wrong input; `python -m harness` prints the text and exits with 2."""


class FolderInUse(UserError):
    """Another process has the session open; a sweep waits for it to end."""


class LedgerError(HarnessError):
    """The hash chain does not verify, or the folder holds another session."""


class InfrastructureError(HarnessError):
    """A failure whose cause cannot be the candidate."""


class SandboxUnavailable(InfrastructureError):
    """The asked-for isolation level cannot be had on this machine."""


class AgentError(HarnessError):
    """The agent cannot propose any more; the session ends in order and can be resumed."""


def refusal(error: OSError, where: object = "") -> HarnessError:
    """What the system refused, in a line. A UserError where a file or folder is not what it should be or not the
    user's, else (a full or failing disk) the machine's. where: named if the error names no file.
    """
    misplaced = FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError | PermissionError
    kind = UserError if isinstance(error, misplaced) or error.errno == errno.ELOOP else HarnessError
    file = where if error.filename is None else os.fsdecode(error.filename)
    return kind(f"{error.strerror or error}: {file}; correct it and repeat")


def missing_package(error: ImportError) -> UserError | None:
    """What is said, in a line, of a package of somebody else's that this Python lacks or cannot import; None where a
    module of ours is, which is our own mistake.
    """
    name = error.name or ""
    if name.partition(".")[0] in _OURS:
        return None
    said = " ".join(str(error).split()) or type(error).__name__
    what = (
        f"lacks the package {name!r}"
        if isinstance(error, ModuleNotFoundError)
        else f"refuses a package: {said}"
    )
    return UserError(
        f"{sys.executable} {what}; use the Python that harness was installed into with what it needs "
        "(in a checkout: .venv/bin/python, after make setup)"
    )
