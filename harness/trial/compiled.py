"""What a program compiles before its gate, kept for its later trials: start-up pays for it once.

Torch's inductor and Triton put what they compile into folders of the trial's own tmp, which go with it. A *preparation*
is a run of the same source in the same sandbox that is killed as soon as it asks for its training data: it has seen
none, no label, and no seed of a trial. What then lies in its cache folders is packed into one file of the session's.
A trial finds a copy of its own, in its tmp: it can write what it likes there, and nobody else will read it.

Who reads what. The baseline's preparation (a program that nobody proposed) is read by every trial. Any other one is
read by trials of exactly the source that made it: code that a candidate left in a cache runs in its own trials only,
where it might have run anyway. What a preparation draws by chance is shared by all that read it, so trials of a
certificate read the baseline's alone, both sides alike.

When. The baseline is prepared before its first trial: every session makes several. Another source is prepared before
its second trial, as most proposals get only one; a preparation costs a cold start-up, and each trial after it saves
most of one. The baseline's and the eight that were read last are kept. The files are the candidate's: they are copied,
counted and sized here, and never looked into.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfrastructureError
from harness.records import Files, Json, Role

FOLDER = "compiled"
_BASELINE = "baseline"
_CACHES = ("torchinductor_cache_dir", "triton_cache_dir", "cuda_cache_path")  # of sandbox/host/plans.py
_MOST_BYTES, _MOST_FILES, _MOST_DEPTH = 1 << 30, 20_000, 12
_CHUNK_BYTES = 1 << 20
_MOST_KEPT = 8  # of some ten to a hundred MiB each
_KEY_CHARACTERS = 32
_OF_SEVERAL = (Role.BASELINE, Role.NOISE)  # trials that do not come alone
_OF_CERTIFICATE = (Role.CERTIFICATE_BASELINE, Role.CERTIFICATE_HEAD)
COLD, FROM_BASELINE, PREPARED = "cold", "baseline", "prepared"


@dataclass(frozen=True, slots=True)
class Caches:
    """What a trial finds. kind: "" where nothing is kept, else COLD, FROM_BASELINE or PREPARED (its own source's).

    packed: files for sandbox.Command.caches, in this order. preparation_seconds: of the preparation made for it just
    now.
    """

    kind: str = ""
    packed: tuple[Path, ...] = ()
    preparation_seconds: float = 0.0


class Preparation:
    """How a preparation is made: `run` ends at the gate and hands over the program's tmp folder, still open."""

    def __init__(self, run: Callable[[Callable[[int], None]], float]) -> None:
        """run(take): calls take(descriptor of tmp) if the program asked for its data; returns the seconds it took."""
        self._run = run

    def into(self, target: Path) -> float:
        """An empty file stands for a program that never asked, or that left too much: it is not tried again."""
        beside = target.with_name(f".{target.name}.new")
        beside.write_bytes(b"")
        seconds = self._run(lambda tmp: pack(tmp, beside))
        os.chmod(beside, 0o400)
        os.replace(beside, target)
        return seconds


class CompiledCode:
    """One session's preparations, in its folder; several slots and later processes share them."""

    def __init__(self, folder: Path, about: Mapping[str, Json]) -> None:
        """folder: the session's. about: what besides the source decides whether compiled code can be used again."""
        self._folder = folder / FOLDER
        self._about = json.dumps(about, sort_keys=True, default=str).encode()

    def key(self, source: Files) -> str:
        """The same for the same files, profile, device and versions."""
        digest = hashlib.sha256(self._about)
        for name, content in sorted(source.items()):
            digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:_KEY_CHARACTERS]

    def before(self, role: Role, source: Files, preparation: Preparation) -> Caches:
        """What a trial that is about to start finds; made now if it is time, by one caller at a time.

        Where a preparation fails for a reason of ours the trial starts without one.
        """
        self._folder.mkdir(exist_ok=True)
        key = self.key(source)
        own, begun = self._folder / key, self._folder / f"{key}.begun"
        seconds = 0.0
        with _locked(self._folder / f"{key}.lock"):
            later = begun.exists() or role in _OF_SEVERAL
            if later and role not in _OF_CERTIFICATE and not own.exists():
                with contextlib.suppress(InfrastructureError, OSError):
                    seconds = preparation.into(own)
                self._forget_old(own)
            begun.touch()
        if role is Role.BASELINE:
            self._mark_baseline(key)
        return self._found(None if role in _OF_CERTIFICATE else own, seconds)

    def _forget_old(self, new: Path) -> None:
        """What was not read for longest, the baseline's and the new one apart."""
        packed = [path for path in self._folder.iterdir() if len(path.name) == _KEY_CHARACTERS]
        with contextlib.suppress(OSError):  # another slot may be at it
            others = [path for path in packed if path not in (new, self._lower()) and _holds_something(path)]
            for path in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - _MOST_KEPT]:
                path.unlink()

    def _lower(self) -> Path | None:
        with contextlib.suppress(FileNotFoundError):
            return self._folder / (self._folder / _BASELINE).read_text()
        return None

    def _mark_baseline(self, key: str) -> None:
        beside = self._folder / f".{_BASELINE}.new"
        beside.write_text(key)
        os.replace(beside, self._folder / _BASELINE)

    def _found(self, own: Path | None, seconds: float) -> Caches:
        layers = [path for path in dict.fromkeys((self._lower(), own)) if path and _holds_something(path)]
        for path in layers:
            os.utime(path)
        kind = PREPARED if own in layers else FROM_BASELINE if layers else COLD
        return Caches(kind, tuple(layers), seconds)


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pack(tmp: int, target: Path) -> None:
    """What a dead program left in its cache folders, as launcher/folders.py unpacks it. Nothing if it is too much.

    tmp: a descriptor of the folder in which CACHE_FOLDER lies. Links and what is no plain file are left out.
    """
    found: list[tuple[str, int]] = []
    try:
        for name in _CACHES:
            with contextlib.suppress(OSError), _folder_in(tmp, f"cache/{name}") as folder:
                found += _files(folder, name, 0)
        if len(found) > _MOST_FILES or sum(size for _, size in found) > _MOST_BYTES:
            return
        with target.open("wb") as file:
            if found:
                file.write(json.dumps(found).encode() + b"\n")
            for name, size in found:
                _copy(tmp, f"cache/{name}", size, file.write)
    except (OSError, RecursionError, UnicodeError):  # it did not want to be read
        target.write_bytes(b"")


@contextlib.contextmanager
def _folder_in(parent: int, path: str) -> Iterator[int]:
    """Opened part by part, so that no link is followed. Raises OSError."""
    with contextlib.ExitStack() as stack:
        for part in path.split("/"):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            parent = os.open(part, flags, dir_fd=parent)
            stack.callback(os.close, parent)
        yield parent


def _files(folder: int, path: str, depth: int) -> Iterator[tuple[str, int]]:
    """Path and size of every plain file below an open folder."""
    if depth > _MOST_DEPTH:
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        name.encode()  # raises for what is no text
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(state.st_mode):
            with _folder_in(folder, name) as inner:
                yield from _files(inner, f"{path}/{name}", depth + 1)
        elif stat.S_ISREG(state.st_mode):
            yield f"{path}/{name}", state.st_size


def _copy(tmp: int, path: str, size: int, write: Callable[[bytes], object]) -> None:
    """Exactly `size` bytes. Raises OSError when they are not there any more."""
    folder, _, name = path.rpartition("/")
    with _folder_in(tmp, folder) as parent:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with open(descriptor, "rb") as file:
        while size:
            chunk = file.read(min(size, _CHUNK_BYTES))
            if not chunk:
                raise OSError(f"{path} became shorter")
            write(chunk)
            size -= len(chunk)
