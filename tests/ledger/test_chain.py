"""The ledger: what is written stays, and no change to it goes unnoticed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LedgerError, UserError
from harness.ledger import chain as ledger
from harness.ledger.chain import FILE_NAME, Ledger, canonical, read, verified

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(st.text(max_size=8).map("x".__add__), json_values, max_size=4)


def written(folder: Path, *notes: str) -> Ledger:
    book = Ledger(folder)
    for note in notes:
        book.append("notice", text=note)
    return book


@given(st.lists(contents, max_size=5))
def test_rows_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    """Any JSON values, in any order, survive closing and opening."""
    folder = tmp_path_factory.mktemp("ledger")
    book = Ledger(folder)
    for values in rows:
        book.append("notice", **values)
    book.close()
    again = read(folder)
    assert [{key: row[key] for key in values} for row, values in zip(again, rows, strict=True)] == rows
    assert [row["seq"] for row in again] == list(range(len(rows)))


@given(st.data())
def test_any_change_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A changed, dropped, doubled or moved line breaks the chain; only a torn end is forgiven."""
    folder = tmp_path_factory.mktemp("ledger")
    written(folder, "one", "two", "three").close()
    lines = (folder / FILE_NAME).read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, 2))
    kind = data.draw(st.sampled_from(["edit", "drop", "double", "swap", "insert"]))
    if kind == "edit":
        row = json.loads(lines[number])
        row["text"] = data.draw(st.text().filter(lambda text: text != row["text"]))
        lines[number] = canonical(row) + b"\n"
    elif kind == "drop":
        del lines[min(number, 1)]  # without the last row the chain is shorter, but whole
    elif kind == "double":
        lines.insert(number, lines[number])
    elif kind == "swap":
        lines[number], lines[number - 1] = lines[number - 1], lines[number]
    else:
        lines.insert(number, data.draw(st.binary(min_size=1).filter(lambda b: b"\n" not in b)) + b"\n")
    with pytest.raises(LedgerError, match="ledger row"):
        list(verified(io.BytesIO(b"".join(lines))))


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """After a power cut the ledger opens with every whole row, and goes on from there."""
    written(tmp_path, "one", "two").close()
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-cut])
    assert [row["text"] for row in read(tmp_path)] == ["one"]
    written(tmp_path, "three").close()
    assert [row["text"] for row in read(tmp_path)] == ["one", "three"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_does_not_have_is_refused_and_nothing_is_written(tmp_path: Path, bad: object) -> None:
    """A bad value raises at once; the ledger stays as it was."""
    book = written(tmp_path, "one")
    with pytest.raises((ValueError, TypeError)):
        book.append("notice", value=bad)  # type: ignore[arg-type] # that is the point
    book.append("notice", text="two")
    book.close()
    assert len(read(tmp_path)) == 2


def call(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "harness.ledger", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_verifies(tmp_path: Path) -> None:
    """`verify` prints the head of a clean ledger; a damaged one is one line and exit code 1."""
    head = written(tmp_path, "one", "two").head
    code, out, err = call("verify", str(tmp_path))
    assert (code, err) == (0, "")
    assert f"2 rows, head {head}" in out
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes().replace(b"one", b"won"))
    code, out, err = call("verify", str(tmp_path))
    assert (code, err.count("\n")) == (1, 1)
    assert "row 0 was changed" in err


@pytest.mark.parametrize(
    "arguments", [(), ("verify",), ("verify", "nowhere"), ("delete", "."), ("show", "/dev/null")]
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    """The user's mistakes never give a traceback."""
    code, _, err = call(*arguments)
    assert (code, err.count("\n")) == (2, 1)


def test_reading_does_not_write(tmp_path: Path) -> None:
    """Looking at another process's ledger leaves its torn line alone."""
    written(tmp_path, "one").close()
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes() + b'{"half')
    before = file.read_bytes()
    assert len(ledger.read(tmp_path)) == 1
    with pytest.raises(UserError):
        ledger.read(tmp_path / "nowhere")
    assert file.read_bytes() == before
