"""The ledger: append-only, fsynced, hash-chained JSON lines. Everything else is derived from it.

Each row holds `previous` (the hash of the row before) and `hash` (SHA-256 of its own canonical JSON without
that key), and every line is canonical JSON to the byte, so that no row can be changed, dropped, moved or spelled
otherwise without it being noticed. What the rows say is the business of rows.py.
"""

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import LedgerError, UserError
from harness.ledger.interruption import uninterrupted
from harness.records import Json

FILE_NAME = "ledger.jsonl"
FIRST_PREVIOUS = "0" * 64
JsonRow = dict[str, Any]
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HOLE = bytes(64)  # a file system leaves whole blocks


class Ledger:
    """One open ledger. Only one process may have it open for writing: the session's lock sees to that.

    length: number of rows. head: hash of the last one.
    """

    def __init__(self, folder: Path, take: Callable[[JsonRow], object] = lambda _: None) -> None:
        """Verifies what is there and hands every row to `take`. A torn last line (power cut, kill) is cut off, and one
        with a hole of zero bytes, which a file system leaves where it could not write a block of it.

        Raises LedgerError when the chain is broken anywhere else.
        """
        self.path = folder / FILE_NAME
        self.length, self.head = 0, FIRST_PREVIOUS
        if self.path.exists():
            is_file(self.path)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 -- open for the session's life
        self._opened = time.monotonic()
        self._failed = ""
        try:
            self._size = _repaired(self.path)
            self._place = _place(self.path)
            with named(self.path), open(self.path, "rb") as stream:
                for row in verified(stream):
                    self.length, self.head = self.length + 1, str(row["hash"])
                    take(row)
            _sync_folder(folder)
        except BaseException:
            self._file.close()
            raise

    def append(self, kind: str, **values: Json) -> JsonRow:
        """Write a row; when this returns it is on the disk. Signals wait meanwhile.

        An append that fails is undone, and no other is taken before the ledger is opened again: what this process
        believes and what the disk holds can then not grow apart. Raises ValueError for NaN and the like, OSError
        when the disk fails, LedgerError after that, and where somebody else has moved, replaced or changed the file:
        rows would go where nobody finds them, or would not follow.
        """
        if self._failed:
            raise LedgerError(f"{self.path} could not be written ({self._failed}); correct it and repeat")
        row: JsonRow = {
            "seq": self.length,
            "time": _now(),
            "sitting_seconds": round(time.monotonic() - self._opened, 3),
            "kind": kind,
            **values,
            "previous": self.head,
        }
        row["hash"] = row_hash(row)
        line = canonical(row) + b"\n"
        self._check_alone()
        with uninterrupted():
            self._write(line)
            self._size += len(line)
            self.length, self.head = self.length + 1, str(row["hash"])
        return row

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
            os.fsync(self._file.fileno())
        except BaseException as error:
            self._failed = getattr(error, "strerror", None) or type(error).__name__
            with contextlib.suppress(OSError):  # then the next opening cuts the torn line off
                os.ftruncate(self._file.fileno(), self._size)
                os.fsync(self._file.fileno())
            raise

    def _check_alone(self) -> None:
        found = _place(self.path)
        size = self.path.stat().st_size if found else 0
        if found == self._place and size == self._size:
            return
        self._failed = "changed by others" if found else "gone"
        what = "was replaced or changed by another program" if found else "is gone, moved or removed,"
        raise LedgerError(
            f"{self.path} {what} while the session went on; put it back as it was and resume: nothing before is lost"
        )

    @property
    def failed(self) -> bool:
        """Whether an append failed: nothing more can be written before the ledger is opened again."""
        return bool(self._failed)

    def close(self) -> None:
        self._file.close()


def _speller() -> Callable[[Any], str]:
    """JSONEncoder.encode makes its encoder in C anew for every row; where this Python has one, it is made once here."""
    spell = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return spell.encode
    encode = make(
        None, spell.default, json.encoder.encode_basestring_ascii, None, ":", ",", True, False, False
    )
    return lambda row: "".join(encode(row, 0))


_spelt = _speller()


def canonical(row: Mapping[str, Any]) -> bytes:
    """The one spelling of a row. Raises ValueError for numbers that JSON does not have."""
    return _spelt(row).encode("ascii")


def row_hash(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical({key: value for key, value in row.items() if key != "hash"})).hexdigest()


def read(folder: Path) -> list[JsonRow]:
    """All verified rows of a session's folder; see `each`."""
    return list(each(folder))


def each(folder: Path) -> Iterator[JsonRow]:
    """The verified rows of a session's folder, one by one; a torn last line is passed over.

    Raises UserError when there is no ledger, LedgerError when the chain is broken.
    """
    with _opened(folder) as stream, named(folder / FILE_NAME):
        yield from verified(stream)


def check(folder: Path) -> tuple[int, str]:
    """Number of rows and hash of the last one, of a ledger that is whole to its last byte; costs a row's memory.

    Raises UserError when there is no ledger, LedgerError for anything but a clean one.
    """
    length, head = 0, FIRST_PREVIOUS
    with _opened(folder) as stream, named(folder / FILE_NAME):
        for row in verified(stream, torn=False):
            length, head = length + 1, str(row["hash"])
    if not length:
        raise LedgerError(f"{folder / FILE_NAME} is empty: it holds no row")
    return length, head


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Inside, a LedgerError about a row says of which file."""
    try:
        yield
    except LedgerError as error:
        if str(error).startswith(str(path)):
            raise
        raise LedgerError(f"{path}: {error}") from error


def verified(
    lines: Iterable[bytes], torn: bool = True, first: int = 0, previous: str = FIRST_PREVIOUS
) -> Iterator[JsonRow]:
    """Every row, in order. torn: whether a last line without its line feed is passed over.

    first, previous: number of the first line and hash of the row before it, of a ledger that is read in pieces.
    Raises LedgerError with the number of the first bad row and what is wrong with it.
    """
    # Five times as fast as json, which knows more (lone surrogates, depth).
    from pydantic_core import from_json

    for number, line in enumerate(lines, first):
        if not line.endswith(b"\n"):
            if torn:
                return
            raise LedgerError(f"ledger row {number} is torn: {len(line)} bytes without a line end")
        row = _canonical_row(line[:-1], from_json) or _row_by_json(number, line[:-1])
        if row.get("seq") != number or row.get("previous") != previous:
            raise LedgerError(f"ledger row {number} does not follow the row before it")
        previous = _hash_of(line[:-1], row)
        if row.get("hash") != previous:
            raise LedgerError(f"ledger row {number} was changed: its hash is wrong")
        yield row


def _canonical_row(line: bytes, parse: Callable[[bytes], Any]) -> JsonRow | None:
    """The object that a line spells; None where it is not canonical, or `parse` cannot tell."""
    try:
        row = parse(line)
        return row if isinstance(row, dict) and canonical(row) == line else None
    except ValueError:
        return None


def _row_by_json(number: int, line: bytes) -> JsonRow:
    """The same by the slower parser that knows more. Raises LedgerError with what is wrong with the line."""
    try:
        row: Any = json.loads(line)
        if isinstance(row, dict) and canonical(row) == line:
            return row
        wrong = "is not an object"
    except (ValueError, RecursionError):
        wrong = "is not JSON"
    raise LedgerError(f"ledger row {number} {_misspelt(line) or wrong}")


def _hash_of(line: bytes, row: JsonRow) -> str:
    """Of a canonical line, without spelling it a second time: `hash` never comes last, `seq` comes after it."""
    own = b'"hash":"%s",' % str(row.get("hash", "")).encode("ascii", "replace")
    return hashlib.sha256(line.replace(own, b"", 1)).hexdigest()


def _misspelt(line: bytes) -> str:
    """What is wrong with the bytes of a line that is not canonical; "" when that has no name of its own."""
    if _HOLE in line:
        return "holds a hole of zero bytes (a power cut? `harness resume` cuts it off if it is the last)"
    if line.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark (an editor saved the file?)"
    if line.endswith(b"\r"):
        return "ends in CRLF (an editor or a transfer changed the line ends?)"
    if not line.strip():
        return "is an empty line"
    repeated: list[str] = []
    try:
        found = json.loads(line, object_pairs_hook=lambda pairs: _object(pairs, repeated))
    except (ValueError, RecursionError):
        return ""
    if repeated:
        return f"holds the key {repeated[0][:40]!r} twice"
    odd = "is not spelled as it was written (spaces, order of keys or escapes differ)"
    return odd if isinstance(found, dict) else ""


def _object(pairs: list[tuple[str, Any]], repeated: list[str]) -> dict[str, Any]:
    seen: set[str] = set()
    repeated += [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value] # adds
    return dict(pairs)


def is_file(path: Path) -> os.stat_result:
    """Its state. Raises UserError for what is no file: to open a pipe would wait for ever. OSError where nothing is."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is no file; move it away and put back the file that was there")
    return found


def _place(path: Path) -> tuple[int, int] | None:
    """Which file the name stands for now; None without one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _opened(folder: Path) -> BinaryIO:
    try:
        is_file(folder / FILE_NAME)
        return open(folder / FILE_NAME, "rb")
    except OSError as error:
        raise UserError(f"{folder} holds no session ({error.strerror}: {FILE_NAME})") from None


def _repaired(path: Path) -> int:
    """Bytes of the whole lines; what comes after the last line feed is cut off, and a last line with a hole: no row of
    ours has one, and nothing followed from a row that was not on the disk.
    """
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = _end_of_whole_lines(file, size)
        last = _end_of_whole_lines(file, max(0, whole - 1))
        file.seek(last)
        if _HOLE in file.read(whole - last):
            whole = last
        if whole < size:
            file.truncate(whole)
            os.fsync(file.fileno())
    return whole


def _end_of_whole_lines(file: BinaryIO, size: int, block: int = 1 << 16) -> int:
    end = size
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """The new file's name must survive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
