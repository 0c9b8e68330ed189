"""`harness ledger verify|show|schema`: whether a session's record is whole; its rows, a line each; what rows hold.

verify and show take the session's tag, or its folder. Exit code 0: clean to the last byte; 1: anything else, said in
a line.

Examples:

    harness ledger verify nanochat-claude-1a2b3c4d
    harness ledger show sessions/nanochat-claude-1a2b3c4d
    harness ledger schema
"""

import sys
import time
from pathlib import Path

from harness.commands import run
from harness.errors import LedgerError, UserError
from harness.ledger.chain import check, each
from harness.ledger.lookup import is_open, place
from harness.task.waiting import told

_LOOKS, _PAUSE_SECONDS = 5, 0.2


def main(arguments: list[str]) -> int:
    """Raises UserError, LedgerError."""
    if arguments == ["schema"]:
        from harness.ledger.tables import schema

        print(schema())
        return 0
    if len(arguments) != 2 or arguments[0] not in ("verify", "show"):
        raise UserError("usage: harness ledger verify|show TAG, or harness ledger schema")
    folder = place(arguments[1])
    if arguments[0] == "show":
        for row in each(folder):
            about = {key: row[key] for key in ("proposal", "trial_id", "decision", "reason") if row.get(key)}
            print(row["seq"], row["time"], row["kind"], *(f"{key}={value}" for key, value in about.items()))
    with told(f"reading every row of {folder}", every_seconds=5.0, at_once=False):
        length, head = checked(folder)
    print(f"ledger is clean: {length} rows, head {head}")
    return 0


def checked(folder: Path) -> tuple[int, str]:
    """As `check`. Of a session that goes on, the last row may be half written at one look, not at several.

    Raises UserError, LedgerError.
    """
    for _ in range(_LOOKS - 1):
        try:
            return check(folder)
        except LedgerError:
            if not is_open(folder):
                raise
            time.sleep(_PAUSE_SECONDS)
    return check(folder)


if __name__ == "__main__":
    sys.exit(run(main, "harness.ledger", about=__doc__))
