"""Shards of text from the open internet without pinned content: fetched once, and the same ever after.

What a shard held when it was first used is written down (SHA-256, in checksums.json beside the shards) and checked at
every later use: trust on first use. It shows that a shard changed, not that the first one was the right one.
"""

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

CHUNK_BYTES = 1 << 20
PATIENCE_SECONDS = 60  # without a byte
ATTEMPTS = 5  # without progress
MAGIC = b"PAR1"  # at both ends of a parquet file
SPARE_BYTES = 1 << 30  # of disk that a download leaves


class Wrong(OSError):
    """What the server sent cannot be the file."""


def shard(name: str, address: str, theirs: Path, ours: Path) -> Path:
    """The shard from the folder `theirs`, which is only read, or from `ours`, where it is fetched into if need be.

    Raises ValueError, in one line, without a network or disk and for a shard that is not what it was.
    """
    ours.mkdir(parents=True, exist_ok=True)
    with FileLock(ours / ".lock"):
        path = theirs / name if (theirs / name).is_file() else ours / name
        try:
            if not path.is_file():
                fetch(f"{address}/{name}", path)
            check_parquet(path)
            _check_or_record(path, ours / "checksums.json")
        except (OSError, http.client.HTTPException) as error:
            raise ValueError(
                f"cannot get {name} from {address} ({error}): put it into {theirs}, or train on texts of your own"
                " with data.texts=FOLDER"
            ) from None
    return path


def _check_or_record(path: Path, record: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    if known.get(path.name, found) != found:
        raise ValueError(
            f"{path} is not what it was when it was first used (SHA-256 {found}, not {known[path.name]}):"
            f" put the old one back, or take its line out of {record}"
        )
    if path.name not in known:
        beside = record.with_suffix(".new")
        beside.write_text(json.dumps({**known, path.name: found}, indent=1) + "\n", encoding="utf-8")
        beside.replace(record)


def check_parquet(path: Path) -> None:
    """Raises Wrong for what is not a whole parquet file: a page of a hotel's network, a file cut short."""
    with path.open("rb") as file:
        first, size = file.read(4), file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        last = file.read(8)
    footer = int.from_bytes(last[:4], "little")
    if size < 12 or first != MAGIC or last[4:] != MAGIC or footer > size - 12:
        raise Wrong(f"{path} is no whole parquet file")


def fetch(address: str, path: Path) -> None:
    """Download to `path`, going on where an earlier try stopped. Raises OSError when that leads nowhere.

    The file gets its name when it is whole; until then it is NAME.part, with the server's ETag in NAME.part.tag.
    """
    part, failed = path.with_name(f"{path.name}.part"), 0
    while failed < ATTEMPTS:
        before = _size(part)
        try:
            for done, total in _receive(address, part):
                _tell(path.name, done, total)
            check_parquet(part)
        except urllib.error.HTTPError as error:
            if error.code != 416:  # the part is longer than the file: start again
                raise
            part.unlink(missing_ok=True)
            failed += 1
        except Wrong:
            part.unlink(missing_ok=True)
            failed += 1
        except (OSError, http.client.HTTPException):
            failed = failed + 1 if _size(part) <= before else 0
            if failed == ATTEMPTS:
                raise
        else:
            part.replace(path)
            _tag_file(part).unlink(missing_ok=True)
            return
    raise Wrong(f"{address} gave no whole parquet file in {ATTEMPTS} tries")


def _receive(address: str, part: Path) -> Iterator[tuple[int, int]]:
    """Appends to the part, or begins it anew; (bytes there, bytes promised) after each chunk.

    Raises Wrong for answers that contradict themselves, ConnectionError for one that ends too early.
    """
    have, tag = _size(part), _tag_file(part)
    request = urllib.request.Request(address)
    if have and tag.exists():
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text(encoding="utf-8"))
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        start, total = _stretch(answer)
        if start not in (0, have):
            raise Wrong(f"{address} goes on at byte {start}, {have} was asked for")
        if total and shutil.disk_usage(part.parent).free < total - start + SPARE_BYTES:
            raise OSError(f"the disk of {part.parent} has no room for {total / 1e6:.0f} MB")
        if etag := answer.headers.get("ETag"):
            tag.write_text(etag, encoding="utf-8")
        with part.open("r+b" if start else "wb") as target:
            target.seek(start)
            while chunk := answer.read(CHUNK_BYTES):
                target.write(chunk)
                yield target.tell(), total
            done = target.tell()
    if total and done != total:
        raise ConnectionError(f"{address} ended after {done} of {total} bytes")


def _stretch(answer: http.client.HTTPResponse) -> tuple[int, int]:
    """Where the answer starts in the file and how long the file is, 0 if that is not said. Raises Wrong."""
    length = int(answer.headers.get("Content-Length") or 0)
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, length
    try:
        stretch, total = answer.headers["Content-Range"].removeprefix("bytes ").split("/")
        start, end = (int(place) for place in stretch.split("-"))
        whole = int(total)
    except (AttributeError, KeyError, ValueError):
        raise Wrong("a part of a file without saying which") from None
    if end + 1 != whole or (length and length != whole - start):
        raise Wrong(f"bytes {stretch} of {total} in an answer of {length}")
    return start, whole


def _tell(name: str, done: int, total: int) -> None:
    """Every tenth, for people."""
    if total and done // max(1, total // 10) > (done - CHUNK_BYTES) // max(1, total // 10):
        print(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB", flush=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")
