"""`harness diff TAG [WHAT]`: what was changed, as a patch: of the head against the baseline, or of WHAT.

TAG is the session's tag, or its folder. WHAT is head (unless given), certified, step-N (a certified step against the
one before it), or the number of a proposal (against what it was made from).

Examples:

    harness diff nanochat-claude-1a2b3c4d
    harness diff nanochat-claude-1a2b3c4d 17
    harness diff nanochat-claude-1a2b3c4d certified > gain.patch
"""

import sys

from harness.commands import run
from harness.errors import UserError
from harness.ledger import lookup
from harness.ledger.session_record import load
from harness.ledger.versions import repository, version
from harness.report.escape import lines

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m", "d": "\x1b[1m"}
_PLAIN = "\x1b[0m"


def main(arguments: list[str]) -> int:
    """0, also where nothing differs; that is said on stderr. Raises UserError, LedgerError."""
    if not 1 <= len(arguments) <= 2 or any(each.startswith("-") for each in arguments):
        raise UserError("usage: harness diff TAG [WHAT]; harness list shows the tags")
    folder = lookup.session(arguments[0])
    session = load(folder)
    found = version(session, arguments[1] if len(arguments) > 1 else "head")
    with repository(folder) as workspace:
        patch = workspace.patch(found.before, found.commit)
    if not patch:
        print(f"{found.about}: no difference", file=sys.stderr)
        return 0
    print("\n".join([*coloured(patch), ""]) if sys.stdout.isatty() else patch, end="")
    return 0


def coloured(patch: str) -> list[str]:
    """For a terminal: what a program's text could do to one is taken out."""
    return [f"{_COLOURS.get(line[:1], '')}{lines(line)}{_PLAIN}" for line in patch.splitlines()]


if __name__ == "__main__":
    sys.exit(run(main, "harness.diff", about=__doc__))
