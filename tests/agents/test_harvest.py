"""What an agent's program left behind is taken without following it anywhere."""

import os
from pathlib import Path

import pytest

from harness.agents.command_line.harvest import UnreadableFolder, harvest, open_one


def taken(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        found = harvest(opened, "work")
        return found.files, found.links
    finally:
        os.close(opened)


def test_takes_files_and_notes_links(tmp_path: Path) -> None:
    """Hidden files and caches are left out; links, of files and of folders, are never followed."""
    work = tmp_path / "work"
    (work / "inner" / "__pycache__").mkdir(parents=True)
    (work / ".hidden").write_text("no")
    (work / "inner" / "__pycache__" / "x.pyc").write_text("no")
    (work / "train.py").write_text("a = 1\n")
    (work / "inner" / "b.py").write_text("b = 1\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("canary")
    (work / "folder").symlink_to(tmp_path / "secret")
    (work / "file").symlink_to(tmp_path / "secret" / "key")
    files, links = taken(tmp_path)
    assert files == {"train.py": b"a = 1\n", "inner/b.py": b"b = 1\n"}
    assert links == {"folder": str(tmp_path / "secret"), "file": str(tmp_path / "secret" / "key")}


@pytest.mark.parametrize("trick", ["link_at_top", "pipe", "huge", "deep", "many", "missing"])
def test_what_is_no_ordinary_folder_of_files_is_refused(tmp_path: Path, trick: str) -> None:
    """UnreadableFolder, in one line; never a hang, never a file from elsewhere."""
    work = tmp_path / "work"
    if trick == "link_at_top":
        work.symlink_to("/etc")
    elif trick != "missing":
        work.mkdir()
    if trick == "pipe":
        os.mkfifo(work / "train.py")
    if trick == "huge":
        with (work / "train.py").open("wb") as file:
            file.truncate(1 << 40)
    if trick == "deep":
        (work / "/".join("d" * 20)).mkdir(parents=True)
    if trick == "many":
        for number in range(2001):
            (work / str(number)).touch()
    with pytest.raises(UnreadableFolder) as caught:
        taken(tmp_path)
    assert "\n" not in str(caught.value)


def test_reads_one_regular_file_only(tmp_path: Path) -> None:
    """The stream of a program: bounded; a link or a pipe in its place is nothing."""
    (tmp_path / "file").write_bytes(b"123456")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    opened = os.open(tmp_path, os.O_RDONLY)
    files = [open_one(opened, name) for name in ("file", "link", "pipe", "none")]
    assert [file is not None for file in files] == [True, False, False, False]
    assert os.pread(files[0] or 0, 4, 0) == b"1234"
    os.close(files[0] or 0)
    os.close(opened)
