"""`harness ledger verify DIR`: is the record whole? `harness ledger show DIR`: a line for every row.

DIR is the folder of a session. Exit code 0: clean; 1: damaged.
"""

import sys
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.ledger.chain import FIRST_PREVIOUS, read


def main(arguments: list[str]) -> int:
    """Raises UserError, LedgerError."""
    if len(arguments) != 2 or arguments[0] not in ("verify", "show"):
        raise UserError("usage: harness ledger verify|show DIR")
    rows = read(Path(arguments[1]))
    if arguments[0] == "show":
        for row in rows:
            about = {key: row[key] for key in ("proposal", "trial_id", "decision", "reason") if row.get(key)}
            print(row["seq"], row["time"], row["kind"], *(f"{key}={value}" for key, value in about.items()))
    head = rows[-1]["hash"] if rows else FIRST_PREVIOUS
    print(f"ledger is clean: {len(rows)} rows, head {head}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "harness.ledger", about=__doc__))
