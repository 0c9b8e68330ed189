"""`harness checkout TAG DIR [WHAT]`: writes the code of a session's head, or of WHAT, into a new folder of yours.

TAG is the session's tag, or its folder. DIR must not be there yet, or be empty. WHAT is head (unless given), certified,
step-N (a certified step), baseline, or the number of a proposal. The code was written by an agent: read it before you
run it outside a sandbox.

Examples:

    harness checkout nanochat-claude-1a2b3c4d best
    harness checkout nanochat-claude-1a2b3c4d step2 step-2
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.commands import run
from harness.errors import UserError, refusal
from harness.ledger import lookup
from harness.ledger.session_record import load
from harness.ledger.versions import repository, version
from harness.records import Files


def main(arguments: list[str]) -> int:
    """Raises HarnessError, and then nothing was written."""
    if not 2 <= len(arguments) <= 3 or any(each.startswith("-") for each in arguments):
        raise UserError("usage: harness checkout TAG DIR [WHAT]; harness list shows the tags")
    folder, target = lookup.session(arguments[0]), Path(arguments[1])
    session = load(folder)
    found = version(session, arguments[2] if len(arguments) > 2 else "head")
    with repository(folder) as workspace:
        files = workspace.files(found.commit)
    write(files, target)
    print(f"{found.about} of {session.started.task} is in {target}: {', '.join(sorted(files))}")
    return 0


def write(files: Files, target: Path) -> None:
    """All of them or none. Paths were checked when they were committed. Raises HarnessError."""
    made: list[Path] = []
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is there already; give a folder that is not, or is empty")
        for name, content in files.items():
            file = target / name
            made += [each for each in (*reversed(file.parents), file) if not each.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    except (OSError, KeyboardInterrupt) as error:
        _remove(made)
        if not isinstance(error, OSError):
            raise
        kind = type(refusal(error))
        raise kind(f"{error.filename or target} cannot be written: {error.strerror or error}") from error


def _remove(made: Sequence[Path]) -> None:
    """Files and folders of ours, outer ones first; what is not ours keeps its folder."""
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


if __name__ == "__main__":
    sys.exit(run(main, "harness.checkout", about=__doc__))
