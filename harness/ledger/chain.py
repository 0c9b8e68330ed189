"""The ledger: append-only, fsynced, hash-chained JSON lines. Everything else is derived from it.

Each row holds `previous` (the hash of the row before) and `hash` (SHA-256 of its own canonical JSON without
that key), so that no row can be changed, dropped or moved without every later hash being wrong.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import LedgerError, UserError
from harness.records import Json

FILE_NAME = "ledger.jsonl"
FIRST_PREVIOUS = "0" * 64
Row = dict[str, Any]


class Ledger:
    """One open ledger. Only one process may have it open for writing: the session's lock sees to that."""

    def __init__(self, folder: Path) -> None:
        """Reads and verifies what is there. A torn last line (power cut, kill) is cut off.

        Raises LedgerError when the chain is broken anywhere else.
        """
        self.path = folder / FILE_NAME
        whole = _repaired(self.path)
        self.rows: list[Row] = list(verified(whole))
        self._file = open(self.path, "ab")  # noqa: SIM115 -- open for the session's life
        _sync_folder(folder)

    def append(self, kind: str, **values: Json) -> Row:
        """Write a row; when this returns it is on the disk. Raises ValueError for NaN and the like."""
        previous = self.rows[-1]["hash"] if self.rows else FIRST_PREVIOUS
        row: Row = {"seq": len(self.rows), "time": _now(), "kind": kind, **values, "previous": previous}
        row["hash"] = row_hash(row)
        self._file.write(canonical(row) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows.append(row)
        return row

    def close(self) -> None:
        self._file.close()


def canonical(row: Mapping[str, Any]) -> bytes:
    """The one spelling of a row. Raises ValueError for numbers that JSON does not have."""
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def row_hash(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical({key: value for key, value in row.items() if key != "hash"})).hexdigest()


def read(folder: Path) -> list[Row]:
    """The verified rows of a session's folder; a torn last line is passed over.

    Raises UserError when there is no ledger, LedgerError when the chain is broken.
    """
    try:
        content = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise UserError(f"{folder} holds no session ({error.strerror}: {FILE_NAME})") from None
    return list(verified(_whole_lines(content)))


def verified(lines: bytes) -> Iterator[Row]:
    """Every row, in order. Raises LedgerError with the number of the first bad row."""
    previous = FIRST_PREVIOUS
    for number, line in enumerate(lines.splitlines()):
        row = _parsed(number, line)
        if row.get("seq") != number or row.get("previous") != previous:
            raise LedgerError(f"ledger row {number} does not follow the row before it")
        if row.get("hash") != row_hash(row):
            raise LedgerError(f"ledger row {number} was changed: its hash is wrong")
        previous = str(row["hash"])
        yield row


def _parsed(number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise LedgerError(f"ledger row {number} is not JSON") from None
    if not isinstance(row, dict):
        raise LedgerError(f"ledger row {number} is not an object")
    return row


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _repaired(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    whole = _whole_lines(content)
    if len(whole) < len(content):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
            os.fsync(file.fileno())
    return whole


def _sync_folder(folder: Path) -> None:
    """The new file's name must survive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
