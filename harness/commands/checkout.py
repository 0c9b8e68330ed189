"""`harness checkout TAG DIR [WHAT]`: writes the code of a session's head, or of WHAT, into a new folder of yours.

TAG is the session's tag, or its folder. DIR must not be there yet, or be empty. WHAT is head (unless given), certified,
step-N (a certified step), baseline, or the number of a proposal. The code was written by an agent: read it before you
run it outside a sandbox.

Examples:

    harness checkout nanochat-claude-1a2b3c4d best
    harness checkout nanochat-claude-1a2b3c4d step2 step-2
"""

import sys
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.ledger import lookup
from harness.ledger.session_record import load
from harness.ledger.versions import repository, version
from harness.records import Files


def main(arguments: list[str]) -> int:
    """Raises UserError, and then nothing was written; LedgerError."""
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
    """Paths were checked when they were committed. Raises UserError."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is there already; give a folder that is not, or is empty")
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
    except OSError as error:
        raise UserError(f"{error.filename or target} cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(run(main, "harness.checkout", about=__doc__))
