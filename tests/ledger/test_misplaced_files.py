"""A session's folder in which something else stands where a file should: people read one line, and nothing waits."""

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands import EXIT_FAILED, EXIT_USER_ERROR, run, run_named
from harness.errors import HarnessError, UserError, refusal
from harness.session.folder import LOCK_NAME, _locked

ARCHIVE = Path(__file__).parent / "sessions_of_0_1" / "whole.tar.xz"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A whole session's folder, alone in its parent."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (ledger,) = (tmp_path / "unpacked").rglob("ledger.jsonl")
    return Path(shutil.move(ledger.parent, tmp_path / "sessions" / "one"))


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [a_folder, os.mkfifo])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ledger", ["verify", "{}"]),
        ("report", ["{}"]),
        ("resume", ["{}"]),
        ("diff", ["{}", "1"]),
        ("checkout", ["{}", "{}/out"]),
    ],
)
def test_a_ledger_that_is_no_file_is_one_line(
    session: Path,
    capsys: pytest.CaptureFixture[str],
    put: Callable[[Path], None],
    command: str,
    words: list[str],
) -> None:
    """A folder or a pipe: named, exit code 2, by every command that reads a session."""
    (session / "ledger.jsonl").unlink()
    put(session / "ledger.jsonl")
    assert run_named(command, [word.format(session) for word in words]) == EXIT_USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert "ledger.jsonl is no file" in line


@pytest.mark.parametrize("put", [a_folder, os.mkfifo])
def test_a_lock_that_is_no_file_is_one_line(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """Named, before anything else of the folder is opened."""
    put(tmp_path / LOCK_NAME)
    with pytest.raises(UserError, match="lock is no file"), _locked(tmp_path):
        pass


@pytest.mark.parametrize("put", [a_folder, os.mkfifo])
def test_the_list_goes_on_past_a_session_that_cannot_be_read(
    session: Path, capsys: pytest.CaptureFixture[str], put: Callable[[Path], None]
) -> None:
    """The others keep their lines."""
    shutil.copytree(session, session.with_name("two"))
    (session / "ledger.jsonl").unlink()
    put(session / "ledger.jsonl")
    assert run_named("list", [str(session.parent)]) == 0
    shown = capsys.readouterr().out
    assert "cannot be read" in shown
    assert "two" in shown


@pytest.mark.parametrize("row", [b"[" * 200000, b'{"kind":' * 200000])
def test_a_row_that_is_too_deep_is_passed_over_where_nothing_is_verified(
    session: Path, row: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list goes on; `verify` names it."""
    assert run_named("list", [str(session.parent)]) == 0
    before = capsys.readouterr().out
    with open(session / "ledger.jsonl", "ab") as file:
        file.write(row + b"\n")
    assert run_named("list", [str(session.parent)]) == 0
    assert capsys.readouterr().out == before
    assert run_named("ledger", ["verify", str(session)]) == EXIT_FAILED
    assert "is not JSON" in capsys.readouterr().err


def test_what_the_system_refuses_is_the_users_or_the_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command did not foresee: a misplaced file exits with 2, a failing disk with 1, each in a line."""

    def misplaced(_: list[str]) -> int:
        (tmp_path / "x").mkdir()
        return len((tmp_path / "x").read_bytes())

    def full(_: list[str]) -> int:
        raise OSError(28, "No space left on device", str(tmp_path / "y"))

    assert run(misplaced, argv=[]) == EXIT_USER_ERROR
    assert run(full, argv=[]) == EXIT_FAILED
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"harness: Is a directory: {tmp_path / 'x'}; correct it and repeat"
    assert second == f"harness: No space left on device: {tmp_path / 'y'}; correct it and repeat"


def test_an_error_of_the_system_that_names_no_file_is_not_hidden() -> None:
    """It may be our own mistake."""

    def fails(_: list[str]) -> int:
        raise OSError(9, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        run(fails, argv=[])


def test_where_no_file_is_named_the_folder_is() -> None:
    """As a disk that is full while rows are written."""
    full = refusal(OSError(28, "No space left on device"), Path("sessions/one"))
    assert isinstance(full, HarnessError)
    assert not isinstance(full, UserError)
    assert str(full) == "No space left on device: sessions/one; correct it and repeat"
