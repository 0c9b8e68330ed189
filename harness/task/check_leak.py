"""Does private data lie in public? Windows of bytes that occur in both, and files that are the same."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

WINDOW_BYTES = 48
MOST_SHARE = 0.02  # of private windows; common phrases and formats are in both without harm
_MOST_WINDOWS = 200_000
_LEAST_DISTINCT_BYTES = 12  # windows of padding and zeros say nothing
_CHUNK_BYTES = 4 << 20
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)

Digests = npt.NDArray[np.uint64]


def leak(public: Path, private: Path) -> tuple[float, list[str]]:
    """Share of private windows that occur in public, 0 to 1, and names of private files that lie there whole."""
    whole = {_sha256(file) for file in _files(public)}
    same = [str(file.relative_to(private)) for file in _files(private) if _sha256(file) in whole]
    wanted = np.unique(np.concatenate([np.empty(0, np.uint64), *map(sampled, _files(private))]))
    if not len(wanted):
        return 0.0, same
    found = np.zeros(len(wanted), bool)
    for content in _chunks(public):
        digests = digests_of(content)
        places = np.searchsorted(wanted, digests).clip(max=len(wanted) - 1)
        found[places[wanted[places] == digests]] = True
    return float(found.mean()), same


def sampled(file: Path) -> Digests:
    """Digests of windows of a private file: all of a small one, evenly spread ones of a large one."""
    content = np.frombuffer(file.read_bytes(), np.uint8)
    if len(content) < WINDOW_BYTES:
        return np.empty(0, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(content, WINDOW_BYTES)
    windows = windows[:: max(1, len(windows) // _MOST_WINDOWS)]
    kept = [part[_distinct(part) >= _LEAST_DISTINCT_BYTES] for part in np.array_split(windows, 16)]
    words = np.ascontiguousarray(np.concatenate(kept)).view(np.uint64)  # [windows, WINDOW_BYTES / 8]
    return _mixed([words[:, place] for place in range(words.shape[1])])


def digests_of(content: npt.NDArray[np.uint8]) -> Digests:
    """Digests of all windows of a text of bytes [n]."""
    if len(content) < WINDOW_BYTES:
        return np.empty(0, np.uint64)
    words = np.lib.stride_tricks.sliding_window_view(content, 8)
    flat = np.ascontiguousarray(words).view(np.uint64)[:, 0]
    count = len(content) - WINDOW_BYTES + 1
    return _mixed([flat[place : place + count] for place in range(0, WINDOW_BYTES, 8)])


def _mixed(words: list[Digests]) -> Digests:
    digest = np.zeros(len(words[0]), np.uint64)
    for number, word in enumerate(words):
        digest = (digest ^ word) * _MULTIPLIERS[number % len(_MULTIPLIERS)]
        digest ^= digest >> np.uint64(29)
    return digest


def _distinct(windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    if not len(windows):
        return np.zeros(0, np.int64)
    ordered = np.sort(windows, axis=1)
    changes: npt.NDArray[np.int64] = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    return 1 + changes


def _chunks(folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The bytes of all files, in overlapping pieces."""
    for file in _files(folder):
        content = np.frombuffer(file.read_bytes(), np.uint8)
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES + WINDOW_BYTES - 1]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
