"""The ledger: what is written stays, and no change to it goes unnoticed."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LedgerError, UserError
from harness.ledger import chain as ledger
from harness.ledger.chain import FILE_NAME, Ledger, canonical, check, read, verified

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


def test_a_hole_in_the_last_line_is_cut_off(tmp_path: Path) -> None:
    """A power cut may leave the end of a row on the disk, line feed and all, and zeros for the block before it."""
    written(tmp_path, "one", "x" * 5000).close()
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-4000] + bytes(3000) + whole[-1000:])
    with pytest.raises(LedgerError, match="row 1 holds a hole of zero bytes"):
        check(tmp_path)
    written(tmp_path, "three").close()
    assert [row["text"] for row in read(tmp_path)] == ["one", "three"]


def test_a_hole_anywhere_else_is_damage(tmp_path: Path) -> None:
    """The twin: rows followed from that one, so nothing is cut off; nor is a row that speaks of zero bytes."""
    written(tmp_path, "x" * 5000, "\0" * 500).close()
    whole = (tmp_path / FILE_NAME).read_bytes()
    assert len(read(tmp_path)) == 2
    damaged = whole[:1000] + bytes(3000) + whole[4000:]
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with pytest.raises(LedgerError, match="row 0 holds a hole of zero bytes"):
        written(tmp_path, "three")
    assert (tmp_path / FILE_NAME).read_bytes() == damaged


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


def respelled(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Changes the second line of three alone."""
    return lambda whole: b"".join(
        change(line) if number == 1 else line for number, line in enumerate(whole.splitlines(keepends=True))
    )


def spaced(line: bytes) -> bytes:
    return json.dumps(json.loads(line)).encode() + b"\n"


def rehashed(line: bytes) -> bytes:
    """Other bytes with a hash over just these bytes: what a forger of spellings would do."""
    row = json.loads(line)
    body = json.dumps({key: value for key, value in row.items() if key != "hash"}).encode()
    return json.dumps({**row, "hash": hashlib.sha256(body).hexdigest()}).encode() + b"\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[: len(whole) // 2], "is torn"),
        (lambda whole: whole[:-1], "row 2 is torn"),
        (lambda _: b"", "is empty"),
        (lambda whole: whole.replace(b"\n", b"\r\n"), "row 0 ends in CRLF"),
        (lambda whole: b"\xef\xbb\xbf" + whole, "row 0 begins with a byte order mark"),
        (lambda whole: whole.decode().encode("utf-16"), "row 0 is not"),
        (respelled(spaced), "row 1 is not spelled as it was written"),
        (respelled(rehashed), "row 1 is not spelled as it was written"),
        (
            respelled(lambda line: line.replace(b'"kind"', b'"kind":"x","kind"')),
            "row 1 holds the key 'kind' twice",
        ),
        (respelled(lambda line: line.replace(b'"two"', b'"\\u0074wo"')), "row 1 is not spelled"),
        (respelled(lambda line: b" " + line), "row 1 is not spelled"),
        (respelled(lambda line: line + b"\n"), "row 2 is an empty line"),
        (respelled(lambda line: b"[" + line[:-1] + b"]\n"), "row 1 is not an object"),
        (respelled(lambda line: line.replace(b'"two"', b"NaN")), "row 1 is not"),
        (respelled(lambda line: line.replace(b'"two"', b"[" * 100_000)), "row 1 is not JSON"),
        (respelled(lambda line: line.replace(b'"two"', b'"2"')), "row 1 was changed"),
        (respelled(lambda _: b""), "row 1 does not follow"),
        (lambda whole: whole + b"\0" * 10, "row 3 is torn"),
    ],
)
def test_verify_names_what_is_wrong(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    """Anything but a clean ledger, to the last byte: one line that names it, and a code that is not 0."""
    written(tmp_path, "one", "two", "three").close()
    file = tmp_path / FILE_NAME
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(LedgerError, match=said):
        check(tmp_path)


@given(contents)
def test_any_spelling_but_ours_is_noticed(tmp_path_factory: pytest.TempPathFactory, values: dict) -> None:
    """Whatever a row holds, it verifies as written, in the library's own spelling, and no longer with a space more."""
    folder = tmp_path_factory.mktemp("ledger")
    book = Ledger(folder)
    row = book.append("notice", **values)
    book.close()
    spelt = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    assert (folder / FILE_NAME).read_text() == f"{spelt}\n"
    assert check(folder)[0] == 1
    file = folder / FILE_NAME
    file.write_bytes(file.read_bytes().replace(b'"kind":', b'"kind": '))
    with pytest.raises(LedgerError):
        check(folder)


def test_an_append_that_the_disk_refuses_is_undone_and_no_other_is_taken(tmp_path: Path) -> None:
    """A full disk in the middle of a row, with room again at once: the ledger ends with the row before, this opening
    refuses any further one, and the next opening goes on."""
    code = """
import resource, sys
from pathlib import Path
from harness.errors import LedgerError
from harness.ledger.chain import FILE_NAME, Ledger
folder = Path(sys.argv[1])
book = Ledger(folder)
book.append("notice", text="one")
size = (folder / FILE_NAME).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
try:
    book.append("notice", text="two")
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    book.append("notice", text="three")
except LedgerError as error:
    print("could not be written" in str(error), (folder / FILE_NAME).stat().st_size == size)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["File too large", "True True"]
    written(tmp_path, "four").close()
    assert [row["text"] for row in read(tmp_path)] == ["one", "four"]
    check(tmp_path)


def test_signals_wait_for_a_row(tmp_path: Path) -> None:
    """Rows under a storm of SIGINT and SIGTERM from another thread: whatever was written when the interruption came
    out is whole, in memory as on the disk. One signal is under way at a time, and none comes where nothing catches it.
    """
    code = """
import os, signal, sys, threading
from pathlib import Path
from harness.ledger.chain import Ledger, check
from harness.ledger.interruption import ended_by_signals
book, interrupted, armed, done = Ledger(Path(sys.argv[1])), 0, False, threading.Event()
def storm():
    global armed
    while not done.wait(0.0007):
        if armed:
            os.kill(os.getpid(), signal.SIGTERM if interrupted % 2 else signal.SIGINT)
            armed = False
with ended_by_signals():
    threading.Thread(target=storm).start()
    while interrupted < 200:
        try:
            while interrupted < 200:
                try:
                    armed = True
                    book.append("notice", text="x" * 3000)
                except KeyboardInterrupt:
                    interrupted += 1
        except KeyboardInterrupt:  # between two rows
            interrupted += 1
    done.set()
print(check(Path(sys.argv[1])) == (book.length, book.head))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr


def moved(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))


def saved_by_an_editor(file: Path) -> None:
    file.with_name("new").write_bytes(file.read_bytes())
    file.with_name("new").replace(file)


def appended_to(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"{}\n")


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("act", [moved, Path.unlink, saved_by_an_editor, appended_to, emptied])
def test_nothing_is_written_to_a_ledger_that_others_touch(tmp_path: Path, act: Callable[[Path], object]) -> None:
    """Its name stands for another file, or it holds what we did not write: the row would be lost, or not follow."""
    book = written(tmp_path, "one")
    touched = tmp_path / FILE_NAME
    act(touched)
    after = touched.read_bytes() if touched.exists() else None
    with pytest.raises(LedgerError, match="while the session went on; put it back as it was and resume"):
        book.append("notice", text="two")
    assert book.failed
    with pytest.raises(LedgerError, match="could not be written"):
        book.append("notice", text="three")
    assert (touched.read_bytes() if touched.exists() else None) == after


def test_two_writers_cannot_both_go_on(tmp_path: Path) -> None:
    """Somebody removed the lock of a session that goes on: the first row of the one ends the other, all verifies."""
    first = written(tmp_path, "one")
    second = Ledger(tmp_path)
    second.append("notice", text="of the second")
    with pytest.raises(LedgerError, match="changed by another program"):
        first.append("notice", text="of the first")
    second.append("notice", text="of the second")
    assert check(tmp_path)[0] == 3
