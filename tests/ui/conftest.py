"""A server of the live page in a process of its own, over folders with made-up sessions."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.ui.places import name_for
from tests.report.conftest import make_rows, write_session

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)>\"'>\x1b[2J\u202e</pre>"


@dataclass(frozen=True, slots=True)
class Served:
    """address: with the token, ends in a slash. folder: what it shows. process: of the server."""

    address: str
    folder: Path
    process: "subprocess.Popen[str]"

    def at(self, session: str, rest: str = "") -> str:
        """The address of a session's page, or of something below it."""
        return f"{self.address}s/{name_for(session)}/{rest}"


def get(address: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
    """Status, headers and text; a refusal is no exception."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, method=method, headers=named)
    with contextlib.ExitStack() as stack:
        try:
            answer = stack.enter_context(urllib.request.urlopen(request, timeout=120))
        except urllib.error.HTTPError as error:
            answer = stack.enter_context(error)
        return answer.status, answer.headers, answer.read().decode()


def events(address: str) -> Iterator[dict[str, Any]]:
    """What the page is told, event by event."""
    with urllib.request.urlopen(address, timeout=120) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def transcribed(folder: Path, rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The rows, with a transcript of the first proposal in the folder."""
    import hashlib

    file = folder / "transcripts" / "0001-1.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"kind": "text", "text": text}) + "\n")
    state = {
        "transcript": {
            "file": "transcripts/0001-1.jsonl",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
    }
    return [
        {**row, "state": state} if row["kind"] == "proposed" and row["proposal"] == 1 else row for row in rows
    ]


def with_a_trial_under_way(folder: Path) -> str:
    """A session in which a trial has just started; the trial's id."""
    rows = make_rows(9, seed=6, end=False)
    cut = max(place for place, row in enumerate(rows) if row["kind"] == "trial_started") + 1
    write_session(folder, rows[:cut])
    return str(rows[cut - 1]["trial_id"])


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """`harness ui` as a user starts it, on a free port."""
    command = [sys.executable, "-m", "harness.ui", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address + process.stdout.read()
        try:
            yield Served(address, folder, process)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three sessions: one whole, one still open, one whose agent and programs are hostile."""
    folder = tmp_path_factory.mktemp("sessions")
    write_session(
        folder / "whole", transcribed(folder / "whole", make_rows(24, seed=3), "I looked for heptagons")
    )
    write_session(folder / "open", make_rows(6, seed=4, end=False))
    hostile = [
        {**row, "claims": {HOSTILE[:60]: 1.0, "curve": [3, 2, 1]}} if row["kind"] == "trial_finished" else row
        for row in make_rows(
            12, seed=5, hostile=HOSTILE, task=HOSTILE, agent=HOSTILE, unit=HOSTILE, metric=HOSTILE
        )
    ]
    write_session(folder / "hostile", transcribed(folder / "hostile", hostile, HOSTILE))
    with serving(folder) as made:
        yield made


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits until it is so; fails after two minutes."""

    def wait(is_so: Callable[[], object]) -> None:
        end = time.monotonic() + 120
        while not is_so():
            if time.monotonic() > end:
                pytest.fail("it never came")
            time.sleep(0.05)

    return wait
