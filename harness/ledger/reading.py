"""Reads ledger rows from a session folder, also while it is being written. Verifies nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError
from harness.ledger.chain import FILE_NAME, is_file
from harness.ledger.rows import Row, row_of

LEDGER = FILE_NAME


class Tail:
    """Complete rows that were appended since the last look. Costs one `stat` when nothing was."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset = 0

    def rows(self) -> list[Row]:
        """New rows; a last line without its line feed waits for the next look. [] without a file.

        Raises LedgerError for a row that this build does not know, UserError for what is no file.
        """
        try:
            size = is_file(self.file).st_size
            if size <= self._offset:
                return []
            with self.file.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return list(_parsed(complete))


def _parsed(data: bytes) -> Iterator[Row]:
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # a torn line: the ledger's own check reports it
            continue
        if isinstance(row, dict):
            yield row_of(row)


def session_folders(folder: Path) -> list[Path]:
    """`folder` itself when it is a session's, otherwise every session folder up to three levels below it.

    What lies inside a session's folder is that session's own (its trials at other budgets).
    """
    if (folder / LEDGER).exists():
        return [folder]
    found: list[Path] = []
    for pattern in ("*", "*/*", "*/*/*"):
        found += [file.parent for file in folder.glob(f"{pattern}/{LEDGER}")]
    of_sessions = {*found}
    return sorted(each for each in found if of_sessions.isdisjoint(each.parents))


def one_session(folder: Path) -> Path:
    """The one session in or below `folder`. Raises UserError when there is none, or more than one."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a session")
    found = session_folders(folder)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{folder} holds no session: there is no {LEDGER} in it")
    listed = ", ".join(str(entry) for entry in found[:4])
    raise UserError(f"{folder} holds {len(found)} sessions, give one of them: {listed}")
