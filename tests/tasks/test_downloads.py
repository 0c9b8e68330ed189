"""What the task query_expansion fetches from the open internet: whole and right, or one line and nothing."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from task_modules import TASKS, load_modules

task = load_modules(TASKS / "query_expansion", "fetch", "prepare", "pairs", "words")
fetch = task.fetch
CONTENT = bytes(range(256)) * 40
NOWHERE = "http://127.0.0.1:9"


@contextlib.contextmanager
def serving(
    content: bytes, *, promised: int | None = None, status: int = 200
) -> Iterator[tuple[str, list[str]]]:
    """An address on loopback, and the paths that were asked for. promised: what Content-Length says."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if promised is None else promised))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    for name, module in vars(task).items():
        monkeypatch.setitem(sys.modules, name, module)
    return tmp_path / "downloads"


def pinned(address: str, content: bytes = CONTENT) -> Any:
    return fetch.Pinned("a.bin", address, hashlib.sha256(content).hexdigest())


def test_a_file_is_fetched_once(downloads: Path) -> None:
    """The second call finds it, and finds it without a network."""
    with serving(CONTENT) as (address, asked):
        for _ in range(2):
            assert fetch.fetched(pinned(address), "p").read_bytes() == CONTENT
    assert asked == ["/file"]
    assert fetch.fetched(pinned(address), "p") == downloads / "a.bin"
    assert [file.name for file in downloads.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"content": b"other"}, r"another content than the pinned one \(SHA-256 d9298a10d1b0"),
        (
            {"content": CONTENT[:500], "promised": len(CONTENT)},
            "the connection ended after 500 of 10240 bytes",
        ),
        ({"content": b"", "status": 404}, "HTTP Error 404"),
    ],
)
def test_what_is_not_whole_and_right_gets_no_name(downloads: Path, reply: dict[str, Any], said: str) -> None:
    """One line with the address, the reason, the file's name, its folder and another profile; nothing stays behind."""
    with serving(**reply) as (address, _), pytest.raises(SystemExit, match=said) as raised:
        fetch.fetched(pinned(address), "some")
    text = str(raised.value)
    assert "\n" not in text
    assert f"profile some needs {address}" in text
    assert f"put the file into {downloads} as a.bin, or use the profile cpu" in text
    assert list(downloads.iterdir()) == []


def test_a_damaged_file_is_fetched_anew_and_kept_until_then(downloads: Path) -> None:
    """Without a network the message says that the file that lies there is not the pinned one."""
    downloads.mkdir()
    (downloads / "a.bin").write_bytes(b"half")
    with pytest.raises(
        SystemExit, match=r"cannot be fetched .*a\.bin has another content than the pinned one"
    ):
        fetch.fetched(pinned(f"{NOWHERE}/file"), "p")
    assert (downloads / "a.bin").read_bytes() == b"half"
    with serving(CONTENT) as (address, _):
        assert fetch.fetched(pinned(address), "p").read_bytes() == CONTENT


def test_what_a_kill_leaves_is_not_taken_for_the_file(downloads: Path) -> None:
    """The part of another process has another name, whatever it holds."""
    downloads.mkdir()
    (downloads / ".a.bin.1.part").write_bytes(CONTENT)
    with pytest.raises(SystemExit, match="cannot be fetched"):
        fetch.fetched(pinned(f"{NOWHERE}/file"), "p")


def test_a_large_file_shows_its_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten lines for a large one, none for a small one."""
    monkeypatch.setattr(fetch, "CHUNK_BYTES", 512)
    with serving(CONTENT) as (address, _):
        monkeypatch.setattr(fetch, "SHOWN_BYTES", 5000)
        fetch.fetched(pinned(address), "p").unlink()
        assert len(capsys.readouterr().out.splitlines()) == 10
        monkeypatch.setattr(fetch, "SHOWN_BYTES", 50_000)
        fetch.fetched(pinned(address), "p")
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("profile", "missing"),
    [("scifact", "scifact.zip"), ("nfcorpus", "nfcorpus.zip"), ("language_model", "nfcorpus.zip")],
)
def test_no_network_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, missing: str
) -> None:
    """The profiles that need the open internet say what to do where it cannot be reached."""
    monkeypatch.setattr(task.prepare, "BEIR_ADDRESS", NOWHERE + "/{name}.zip")
    with pytest.raises(
        SystemExit, match=rf"profile {profile} needs .* cannot be fetched .* as {missing}, or use"
    ):
        task.prepare.prepare(tmp_path / "public", tmp_path / "private", b"secret", profile)


def test_the_command_ends_in_order_without_a_network(tmp_path: Path) -> None:
    """The user's command: exit code 2, one line of what to do, no session and no half-made data."""
    # So that the outcome is the same everywhere.
    proxies = {f"{kind}_proxy": NOWHERE for kind in ("http", "https")}
    command = [sys.executable, "-m", "harness", "task=query_expansion", "budget.profile=language_model"]
    # A GPU is named, or its absence comes first.
    done = subprocess.run(
        [*command, "executor.gpu=0", f"session.folder={tmp_path / 'sessions'}"],
        cwd=tmp_path,
        env={**os.environ, **proxies, "HARNESS_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        f"put the file into {tmp_path / 'downloads'} as nfcorpus.zip, or use the profile cpu" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sessions").exists()
    left = [file.name for folder in ("tasks", "downloads") for file in (tmp_path / folder).iterdir()]
    assert all(name.endswith(".lock") for name in left)


def test_every_download_is_pinned_in_full() -> None:
    """A commit in the address and 64 digits of SHA-256; no two files share a name."""
    files = [task.pairs.PAIRS, task.pairs.WEIGHTS, task.pairs.VOCABULARY, task.pairs.MERGES]
    assert len({file.name for file in files}) == len({file.sha256 for file in files}) == 4
    for file in files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert any(len(part) == 40 and bytes.fromhex(part) for part in file.address.split("/"))
