"""Sessions by the name that people type: a folder, or the tag of one below `sessions/`."""

from pathlib import Path

from harness.errors import UserError
from harness.ledger.reading import session_folders
from harness.ledger.sweep_record import FILE_NAME as SWEEP

USUAL = Path("sessions")
_SHOWN = 8


def place(word: str) -> Path:
    """The folder that is meant: one that is there, or `sessions/<word>`, or the one session of that name below it.

    Raises UserError, which lists what there is.
    """
    if not word or word.startswith("-"):
        raise UserError(f"{word!r} names no session; give its tag or its folder (harness list)")
    if Path(word).exists() or "/" in word:
        return Path(word)
    if (USUAL / word).is_dir():
        return USUAL / word
    found = [folder for folder in session_folders(USUAL) if folder.name == word]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{len(found)} sessions are called {word}, give one of: {_listed(found)}")
    raise UserError(f"there is no session {word!r}, neither as a folder nor in {USUAL}/; {_what_there_is()}")


def session(word: str) -> Path:
    """The folder of the one session that is meant. Raises UserError."""
    folder = place(word)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; {_what_there_is()}")
    found = session_folders(folder)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{folder} holds no session: there is no ledger.jsonl in it; {_what_there_is()}")
    kind = "a sweep of " if (folder / SWEEP).exists() else ""
    raise UserError(f"{folder} holds {kind}{len(found)} sessions, give one of them: {_listed(found)}")


def is_open(folder: Path) -> bool:
    """Whether a process on this machine holds the session's lock: read from the kernel's list, so nothing is locked."""
    try:
        inode = (folder / "lock").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
    return any(f":{inode} " in line for line in locks.splitlines())


def _what_there_is() -> str:
    there = session_folders(USUAL) if USUAL.is_dir() else []
    return f"there are: {_listed(there)}" if there else f"no session lies in {USUAL}/ of the current folder"


def _listed(folders: list[Path]) -> str:
    names = [
        str(folder.relative_to(USUAL)) if folder.is_relative_to(USUAL) else str(folder) for folder in folders
    ]
    more = f" and {len(names) - _SHOWN} more (harness list)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
