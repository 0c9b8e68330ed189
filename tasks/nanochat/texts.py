"""A folder of the user's own texts: read as a stream, split by document, near-duplicates on one side.

Files: .txt (one document each), .jsonl (a field `text` a line), .parquet (a column `text`), and each of the first two
with .zst or .gz. Memory: some 200 bytes a document, whatever its length, and one document.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ENDINGS = (".txt", ".jsonl", ".parquet")
SHINGLE_WORDS = 13
SKETCH = 16  # smallest hashes of word 13-grams that stand for a document
SHARED = 2  # so many of them in common: nearly the same text
COMMON = 20  # documents that hold a hash before it is boilerplate, such as a licence
PARTS = 50  # one part of so many is val, one is test


def files(folder: Path) -> list[Path]:
    """Raises ValueError if there are none."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and _ending(path) in ENDINGS)
    if not found:
        raise ValueError(f"data.texts={folder}: no {', '.join(ENDINGS)} files there (.zst and .gz as well)")
    return found


def _ending(path: Path) -> str:
    return Path(path.stem if path.suffix in (".zst", ".gz") else path.name).suffix


def documents(folder: Path) -> Iterator[str]:
    """All texts, in one order. Raises ValueError for a file that is not what its name says."""
    for path in files(folder):
        try:
            yield from _texts(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None


def _texts(path: Path) -> Iterator[str]:
    if _ending(path) == ".parquet":
        yield from parquet_texts(path)
        return
    import pyarrow as pa

    packed = {".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
    with pa.input_stream(str(path), compression=packed) as stream:
        if _ending(path) == ".txt":
            yield stream.read().decode("utf-8")
            return
        rest = b""
        while block := stream.read(1 << 20):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield from _line(line)
        yield from _line(rest)


def _line(line: bytes) -> Iterator[str]:
    if line.strip():
        text = json.loads(line)["text"]
        if not isinstance(text, str):
            raise TypeError("a `text` that is no text")
        yield text


def parquet_texts(path: Path) -> Iterator[str]:
    """The column `text`, one group of rows at a time."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=["text"]).column("text").to_pylist()


def sketch(text: str) -> np.ndarray:
    """uint32 [up to SKETCH]: equal texts have equal ones; two that share a tenth mostly share some."""
    words = np.array([zlib.crc32(word.encode()) for word in text.lower().split()], np.uint32)
    shingles = np.zeros(max(1, len(words) - SHINGLE_WORDS + 1), np.uint32)
    for offset in range(min(SHINGLE_WORDS, len(words))):
        shingles = shingles * np.uint32(0x9E3779B1) + words[offset : offset + len(shingles)]
    mixed = (shingles ^ (shingles >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    return np.unique(mixed)[:SKETCH]


def groups(sketches: list[np.ndarray]) -> np.ndarray:
    """int [n]: number of the first document among those that are nearly the same, directly or through others."""
    owners = np.repeat(np.arange(len(sketches)), [len(one) for one in sketches])
    hashes = np.concatenate(sketches).astype(np.int64)
    order = np.argsort(hashes, kind="stable")
    owners, edges = owners[order], np.flatnonzero(np.diff(hashes[order], prepend=-1, append=-1))
    shared: dict[tuple[int, int], int] = {}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if 1 < end - start <= COMMON:
            holders = owners[start:end].tolist()
            for place, one in enumerate(holders):
                for other in holders[place + 1 :]:
                    shared[one, other] = shared.get((one, other), 0) + 1
    first = np.arange(len(sketches))

    def root(number: int) -> int:
        while first[number] != number:
            first[number] = first[first[number]]
            number = int(first[number])
        return number

    for (one, other), count in shared.items():
        if count >= min(SHARED, len(sketches[one]), len(sketches[other])):
            low, high = sorted((root(one), root(other)))
            first[high] = low
    return np.array([root(number) for number in range(len(sketches))])


@dataclass(frozen=True)
class Split:
    """The texts of one split; can be gone through again and again."""

    folder: Path
    split: str
    parts: np.ndarray = field(repr=False)  # of every document: 0 val, 1 test, more: train

    def __iter__(self) -> Iterator[str]:
        for part, text in zip(self.parts.tolist(), documents(self.folder), strict=True):
            if {0: "val", 1: "test"}.get(part, "train") == self.split:
                yield text


def splits(folder: Path, secret: bytes) -> dict[str, Split]:
    """train, val and test. Raises ValueError where there are too few documents for one of them."""
    belongs = groups([sketch(text) for text in documents(folder)])
    drawn = [hashlib.sha256(secret + int(first).to_bytes(8, "little")).digest() for first in belongs]
    parts = np.array([int.from_bytes(digest[:8], "little") % PARTS for digest in drawn])
    found = {split: Split(folder, split, parts) for split in ("train", "val", "test")}
    if not ((parts == 0).any() and (parts == 1).any() and (parts > 1).any()):
        raise ValueError(
            f"data.texts={folder}: {len(parts)} documents, too few or too alike to hold one part in {PARTS} out, twice"
        )
    return found
