"""Which sessions lie below a folder, under short names that are no paths: a request can name nothing else."""

import hashlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from harness.ledger.chain import FILE_NAME
from harness.ledger.sweep_record import FILE_NAME as SWEEP
from harness.ui.watched import Watched

_DEEPEST = 4
_MOST_OPEN = 32  # sessions whose rows are held in memory


def name_for(path: str) -> str:
    """A short name of a relative path."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Places:
    """Sessions and sweeps in and below one folder. Safe to ask from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.sessions: dict[str, Path] = {}
        self.sweeps: dict[str, Path] = {}
        self._open: OrderedDict[str, Watched] = OrderedDict()
        self._lock = threading.Lock()
        self.find()

    def find(self) -> None:
        """Looks again. Folders inside a session's are not searched, links are not followed."""
        sessions: dict[str, Path] = {}
        sweeps: dict[str, Path] = {}
        self._search(self.folder, 0, sessions, sweeps)
        with self._lock:
            self.sessions = dict(sorted(sessions.items(), key=lambda entry: str(entry[1])))
            self.sweeps = sweeps

    def _search(self, folder: Path, depth: int, sessions: dict[str, Path], sweeps: dict[str, Path]) -> None:
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError:
            return
        names = {entry.name for entry in found}
        key = name_for(self.relative(folder))
        if SWEEP in names:
            sweeps[key] = folder
        if FILE_NAME in names:
            sessions[key] = folder
        elif depth < _DEEPEST:
            for entry in found:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    self._search(Path(entry.path), depth + 1, sessions, sweeps)

    def relative(self, folder: Path) -> str:
        """How the folder is called on the page."""
        return self.folder.name if folder == self.folder else str(folder.relative_to(self.folder))

    def watched(self, key: str) -> Watched | None:
        """The session of that name, None without one. Those that nobody asked for lately are let go."""
        with self._lock:
            folder = self.sessions.get(key)
            if folder is None:
                return None
            if key not in self._open:
                self._open[key] = Watched(folder)
                while len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            return self._open[key]

    def sweep_of(self, folder: Path) -> str | None:
        """The name of the sweep that a session's folder belongs to."""
        inside = [key for key, sweep in self.sweeps.items() if folder.is_relative_to(sweep)]
        return inside[0] if inside else None
