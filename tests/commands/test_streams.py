"""Standard streams that are closed, full or left by their reader, a current folder that is gone: a line and an exit
code, and no file of ours in their place."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

UNBUFFERED = ({}, {"PYTHONUNBUFFERED": "1"})
FULL = "No space left on device: where the output or a temporary file goes; correct it and repeat"
SHOWS = """
import os, sys
from harness.commands import run

def body(_):
    file = open(os.devnull)
    print("said"); print("said", file=sys.stderr)
    os._exit(10 + file.fileno())

sys.exit(run(body, argv=[]))
"""
PRESSED_AGAIN = """
import os, signal, sys, time
from harness.commands import run

class Screen:
    "Somebody presses Ctrl-C again while it is written to."
    def __init__(self, stream): self.stream = stream
    def write(self, text):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(.01)
        return self.stream.write(text)
    def flush(self): self.stream.flush()

sys.stderr = Screen(sys.stderr)

def body(_):
    raise KeyboardInterrupt

sys.exit(run(body, argv=["one=1"]))
"""


def call(words: Sequence[str], **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], stderr=subprocess.PIPE, text=True, check=False, **how  # type: ignore[call-overload]
    )


def buffered_unless(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | environment


@pytest.mark.parametrize("environment", UNBUFFERED)
@pytest.mark.parametrize("words", [["--help"], ["list"], ["glossary"], ["check-task", "--help"]])
def test_a_full_disk_under_the_output_is_one_line(
    words: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    """Also what is written only when the program ends; nothing is tried again after that."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "harness", *words],
            cwd=tmp_path, env=buffered_unless(environment), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.endswith(FULL)


@pytest.mark.parametrize("environment", UNBUFFERED)
def test_a_reader_that_has_gone_is_told_nothing(environment: dict[str, str]) -> None:
    """As `| head -1`; one that reads on gets everything."""
    words = [sys.executable, "-m", "harness", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(words, env=buffered_unless(environment), stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (1, b"")
    there = subprocess.run(words, env=buffered_unless(environment), capture_output=True, check=False)
    assert (there.returncode, there.stderr) == (0, b"")


def test_a_full_disk_under_the_errors_leaves_the_code(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "harness", "list", str(tmp_path / "nowhere")]
        assert subprocess.run(words, stderr=full, check=False).returncode == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_of_ours_takes_a_closed_streams_place(closed: str) -> None:
    """What a library or a child prints would go into it: the ledger was at number 2."""
    ended = subprocess.run(["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, SHOWS], check=False)
    assert ended.returncode >= 13


def test_open_streams_stay_as_they_are() -> None:
    """The twin: what is said arrives."""
    ended = call(["-c", SHOWS.replace("os._exit", "sys.stdout.flush(); os._exit")], stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (13, "said\n", "said\n")


def test_ctrl_c_pressed_again_while_the_end_is_told() -> None:
    """It had been a traceback: the first one's words come whole."""
    ended = call(["-c", PRESSED_AGAIN], stdout=subprocess.PIPE)
    assert ended.returncode == 130
    assert ended.stderr.splitlines() == [
        "",
        "harness: interrupted, nothing is lost; go on with: python -m harness one=1",
    ]


def test_a_process_can_be_ended_after_its_last_words() -> None:
    """The twin: a second Ctrl-C is not lost for good; what hangs after the end can be got rid of."""
    hangs = PRESSED_AGAIN.partition("class Screen")[0] + (
        "def body(_):\n    raise KeyboardInterrupt\n\n"
        "run(body, argv=[])\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    assert call(["-c", hangs], timeout=30).returncode == -signal.SIGINT


@pytest.mark.parametrize("words", [["preset=smoke", "--cfg", "resolved"], ["doctor"]])
def test_a_current_folder_that_is_gone_is_one_line(words: list[str], tmp_path: Path) -> None:
    """Somebody removed it while a shell stood there."""
    go = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    (tmp_path / "gone").mkdir()
    called = ["bash", "-c", go, "bash", str(tmp_path / "gone"), sys.executable, "-I", "-m", "harness", *words]
    ended = subprocess.run(called, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == "harness: the current folder is gone: cd to one that is there, and repeat\n".replace(
        "harness:", "harness.doctor:" if words == ["doctor"] else "harness:"
    )
