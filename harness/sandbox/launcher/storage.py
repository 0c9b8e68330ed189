"""How much the untrusted program has stored, and when that is too much. Standard library only."""

import contextlib
import itertools
import os
import stat

from harness.sandbox.launcher import kernel

_MOST_ENTRIES = 65536
_LOOK_AGAIN_BYTES = 16 << 20
_FLOOR_BYTES = 256 << 20


class SizedFolders:
    """Levels 2 and 3: each folder is a tmpfs with a size; the kernel refuses what does not fit."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders
        self.devices = [os.stat(folder).st_dev for folder in folders]

    def in_memory_bytes(self) -> int:
        states = [os.statvfs(folder) for folder in self._folders]
        return sum((state.f_blocks - state.f_bfree) * state.f_frsize for state in states)

    def too_full(self, unlinked_bytes: int, sent: bool) -> bool:  # noqa: ARG002 -- they are in a folder's size
        return False


class PlainFolder:
    """Levels 0 and 1: a folder on the machine's own disk. It is walked only after the disk has become fuller."""

    def __init__(self, folder: str, limit_bytes: int, most_files: int, user: int | None) -> None:
        self._folder, self._limit, self._most_files, self._user = folder, limit_bytes, most_files, user
        self._free = self._free_now()
        self._begun = self._free[0]
        self._floor = min(_FLOOR_BYTES, self._free[0] // 2)
        self.devices: list[int] = []

    def in_memory_bytes(self) -> int:
        """What this user keeps in the shared /dev/shm. What others could open there is closed to them."""
        if self._user is None:
            return 0
        total = 0
        for entry in _entries("/dev/shm"):
            state = _state(entry)
            if state and state.st_uid == self._user:
                total += state.st_blocks * 512
                if state.st_mode & 0o077 and not stat.S_ISLNK(state.st_mode):
                    with kernel.as_user(self._user), contextlib.suppress(OSError):
                        os.chmod(entry.path, state.st_mode & 0o700)
        return total

    def too_full(self, unlinked_bytes: int, sent: bool) -> bool:
        """unlinked_bytes: in files that are open and in no folder any more. sent: whether some may be in nobody's
        hands; then all that the disk has become fuller counts.
        """
        space, inodes = self._free_now()
        if space < self._floor or unlinked_bytes > self._limit or (sent and self._begun - space > self._limit):
            return True
        if self._free[0] - space < _LOOK_AGAIN_BYTES and self._free[1] - inodes < self._most_files // 16:
            return False
        self._free = (space, inodes)
        return self._stored_too_much(unlinked_bytes)

    def _free_now(self) -> tuple[int, int]:
        state = os.statvfs(self._folder)
        return state.f_bavail * state.f_frsize, state.f_favail

    def _stored_too_much(self, used: int) -> bool:
        count = 0
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


def open_to_others(folder: str, user: int) -> str:
    """The name of something there that is not `user`'s and may be used by everybody; "" if there is nothing."""
    for entry in _entries(folder):
        state = _state(entry)
        if state and state.st_uid != user and state.st_mode & 0o007 and not stat.S_ISLNK(state.st_mode):
            return entry.name
    return ""


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
