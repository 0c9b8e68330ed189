"""How much the untrusted program has stored, and when that is too much. Standard library only."""

import itertools
import os

_MOST_ENTRIES = 65536
_LOOK_AGAIN_BYTES = 16 << 20
_FLOOR_BYTES = 256 << 20


class SizedFolders:
    """Levels 2 and 3: each folder is a tmpfs with a size; the kernel refuses what does not fit."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def in_memory_bytes(self) -> int:
        states = [os.statvfs(folder) for folder in self._folders]
        return sum((state.f_blocks - state.f_bfree) * state.f_frsize for state in states)

    def too_full(self) -> bool:
        return False


class PlainFolder:
    """Levels 0 and 1: a folder on the machine's own disk. It is walked only after the disk has become fuller."""

    def __init__(self, folder: str, limit_bytes: int, most_files: int, user: int | None) -> None:
        self._folder, self._limit, self._most_files, self._user = folder, limit_bytes, most_files, user
        self._free = self._free_now()
        self._floor = min(_FLOOR_BYTES, self._free[0] // 2)

    def in_memory_bytes(self) -> int:
        """What this user keeps in the shared /dev/shm."""
        if self._user is None:
            return 0
        states = [_state(entry) for entry in _entries("/dev/shm")]
        return sum(state.st_blocks * 512 for state in states if state and state.st_uid == self._user)

    def too_full(self) -> bool:
        space, inodes = self._free_now()
        if space < self._floor:  # files that were unlinked while open are in no folder
            return True
        if self._free[0] - space < _LOOK_AGAIN_BYTES and self._free[1] - inodes < self._most_files // 16:
            return False
        self._free = (space, inodes)
        return self._stored_too_much()

    def _free_now(self) -> tuple[int, int]:
        state = os.statvfs(self._folder)
        return state.f_bavail * state.f_frsize, state.f_favail

    def _stored_too_much(self) -> bool:
        used = count = 0
        pending = [f"{self._folder}/out", f"{self._folder}/tmp"]
        while pending:
            for entry in _entries(pending.pop()):
                state = _state(entry)
                used += state.st_blocks * 512 if state else 0
                count += 1
                if used > self._limit or count > self._most_files:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
        return False


def _state(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None  # gone


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(itertools.islice(entries, _MOST_ENTRIES + 1))
    except OSError:
        return []  # gone, or closed to us
