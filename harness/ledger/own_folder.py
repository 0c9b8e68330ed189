"""Folders of ours in a place of the user's: what a session or a sweep leaves there is not for their version control."""

from pathlib import Path

IGNORED = ".gitignore"
_EVERYTHING = (
    "# Made by harness: a session's folder holds a secret. Remove this file to commit what lies here.\n*\n"
)


def own_folder(folder: Path) -> None:
    """Makes it, with its parents, and has git pass it over; a folder that is there, the user's, stays as it is.

    Raises OSError.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        folder.mkdir(exist_ok=True)  # raises where it is no folder
    else:
        (folder / IGNORED).write_text(_EVERYTHING, encoding="utf-8")
