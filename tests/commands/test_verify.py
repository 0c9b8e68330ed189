"""`harness ledger verify` beside a session that writes."""

import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from harness.commands import EXIT_FAILED, run_named
from harness.ledger.chain import FILE_NAME, Ledger


@pytest.fixture
def half_written(tmp_path: Path) -> bytes:
    """The rest of the last row of the ledger there: as a reader may see one that is being written."""
    book = Ledger(tmp_path)
    book.append("notice", text="one")
    book.append("notice", text="x" * 20000)
    book.close()
    content = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(content[:-9000])
    return content[-9000:]


def test_a_row_that_is_being_written_is_no_damage(
    tmp_path: Path, half_written: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a process has the session open, it is looked at again."""

    def write_on() -> None:
        time.sleep(0.1)
        with (tmp_path / FILE_NAME).open("ab") as stream:
            stream.write(half_written)

    writer = threading.Thread(target=write_on)
    with FileLock(tmp_path / "lock"):
        writer.start()
        assert run_named("ledger", ["verify", str(tmp_path)]) == 0
        writer.join()
    assert "ledger is clean: 2 rows" in capsys.readouterr().out


@pytest.mark.parametrize("is_open", [True, False])
def test_one_that_stays_half_is(
    tmp_path: Path, half_written: bytes, is_open: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether or not somebody has it open."""
    lock = FileLock(tmp_path / "lock")
    if is_open:
        lock.acquire()
    assert run_named("ledger", ["verify", str(tmp_path)]) == EXIT_FAILED
    lock.release()
    assert f"{FILE_NAME}: ledger row 1 is torn" in capsys.readouterr().err
