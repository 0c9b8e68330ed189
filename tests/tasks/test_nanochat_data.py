"""The language-model task's large data: shards from a server that misbehaves, and a folder of the user's own texts."""

import gzip
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_modules import load_file

FOLDER = Path(__file__).parents[2] / "tasks" / "nanochat"


def load(name: str) -> ModuleType:
    return load_file(FOLDER, name, "nanochat_data")


prepare, shards, own_texts = load("prepare"), load("shards"), load("texts")


def text(number: int, words: int = 120) -> str:
    generator = np.random.default_rng(number)
    return " ".join(f"word{value}" for value in generator.integers(0, 5000, words))


def shard_bytes(first: int, count: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"text": [text(first + number) for number in range(count)]}), sink, row_group_size=8
    )
    return bytes(sink.getvalue())


class Server:
    """Serves `files` on the loopback and does what `mode` says, so many times."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.mode, self.times = "", 0
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        content = self.files.get(request.path.removeprefix("/"))
        asked = request.headers["Range"]
        self.ranges.append(asked)
        mode = self.mode if self.times > 0 else ""
        self.times -= 1
        if content is None:
            request.send_error(404)
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = int(re.findall(r"\d+", asked)[0]) if asked and request.headers["If-Range"] == etag else 0
        if mode == "page":
            content, start = b"<html>please log in</html>", 0
        body = content[start:]
        request.send_response(206 if start else 200)
        request.send_header("ETag", etag)
        if start:
            claimed = start + 1 if mode == "other place" else start
            request.send_header("Content-Range", f"bytes {claimed}-{len(content) - 1}/{len(content)}")
        length = len(body) + {"promises more": 1000, "promises less": -1000}.get(mode, 0)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if mode == "cuts" else body[:length])
        if mode in ("cuts", "promises more"):
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    for number in (0, 1, prepare.LAST_SHARD):
        made.files[f"shard_{number:05d}.parquet"] = shard_bytes(1000 * number, 40)
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


# --- shards -----------------------------------------------------------------------------------------------------


def test_shards_become_train_val_and_sealed_test(server: Server) -> None:
    """The first shards are for training; the last one is val and test, and the secret says which document is which."""
    parts = prepare.climbmix(2, b"", server.address)
    assert list(parts["train"]) == [
        text(number) for first in (0, 1000) for number in range(first, first + 40)
    ]
    last = [text(1000 * prepare.LAST_SHARD + number) for number in range(40)]
    val, test = list(parts["val"]), list(parts["test"])
    assert sorted([*val, *test]) == sorted(last)
    assert 8 <= len(val) <= 32
    assert list(parts["val"]) == val, "texts can be gone through again"
    assert list(prepare.climbmix(2, b"other", server.address)["val"]) != val


@pytest.mark.parametrize("mode", ["cuts", "promises more", "promises less", "other place", "page"])
def test_a_misbehaving_server_gives_the_right_bytes_in_the_end(
    server: Server, mode: str, tmp_path: Path
) -> None:
    """Connections that break, lengths that are not true, parts from elsewhere, pages of a hotel's network."""
    if mode == "other place":  # needs a first part to go on from
        server.mode, server.times = "cuts", 1
        (tmp_path / "cache").mkdir()
        part = tmp_path / "s.parquet.part"
        with pytest.raises(ConnectionError):
            list(shards._receive(f"{server.address}/shard_00000.parquet", part))
    server.mode, server.times = mode, 2
    shards.fetch(f"{server.address}/shard_00000.parquet", tmp_path / "s.parquet")
    assert (tmp_path / "s.parquet").read_bytes() == server.files["shard_00000.parquet"]
    assert [path.name for path in tmp_path.glob("s.*")] == ["s.parquet"]
    if mode == "cuts":
        assert any(server.ranges), "what had come was not fetched again"


def test_a_changed_file_is_not_continued(server: Server, tmp_path: Path) -> None:
    """Half of one file and half of another make none: the server's ETag decides, and the file begins anew."""
    server.mode, server.times = "cuts", 1
    with pytest.raises(ConnectionError):
        list(shards._receive(f"{server.address}/shard_00000.parquet", tmp_path / "s.parquet.part"))
    server.files["shard_00000.parquet"] = shard_bytes(7, 60)
    shards.fetch(f"{server.address}/shard_00000.parquet", tmp_path / "s.parquet")
    assert (tmp_path / "s.parquet").read_bytes() == server.files["shard_00000.parquet"]


@pytest.mark.parametrize("mode", ["cuts", "page"])
def test_without_a_way_there_is_one_clear_line(
    server: Server, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, a missing shard, a server that never gets better: what to do instead."""
    server.mode, server.times = mode, 10**6
    monkeypatch.setattr(shards, "_receive", shards._receive if mode == "page" else cut_at_once)
    with pytest.raises(ValueError, match=r"cannot get shard_06542.parquet from .*data.texts=FOLDER"):
        prepare.climbmix(1, b"", server.address)
    with pytest.raises(ValueError, match="cannot get"):
        prepare.climbmix(1, b"", "http://127.0.0.1:9")


def cut_at_once(address: str, part: Path) -> Iterator[tuple[int, int]]:
    raise ConnectionResetError(address)
    yield (0, 0)


def test_trust_on_first_use(server: Server, tmp_path: Path) -> None:
    """A shard that changed after its first use is refused, wherever it lies; the same one again is fine."""
    prepare.climbmix(1, b"", server.address)
    prepare.climbmix(1, b"", "http://127.0.0.1:9")  # nothing is fetched any more
    file = tmp_path / "cache/downloads/climbmix/shard_00000.parquet"
    file.write_bytes(shard_bytes(3, 40))
    with pytest.raises(ValueError, match="not what it was when it was first used"):
        prepare.climbmix(1, b"", server.address)


def test_shards_of_autoresearch_are_read_and_never_written(server: Server, tmp_path: Path) -> None:
    """What lies in ~/.cache/autoresearch/data is used; only what is missing is fetched, to our own cache."""
    theirs = tmp_path / "home/.cache/autoresearch/data"
    theirs.mkdir(parents=True)
    for name in ("shard_00000.parquet", "shard_06542.parquet"):
        (theirs / name).write_bytes(server.files[name])
    before = {path: path.stat() for path in theirs.iterdir()}
    parts = prepare.climbmix(2, b"", server.address)
    assert len(list(parts["train"])) == 80
    assert {path: path.stat() for path in theirs.iterdir()} == before
    assert server.ranges == [None]
    (theirs / "shard_00000.parquet").write_bytes(shard_bytes(3, 40))
    with pytest.raises(ValueError, match="not what it was"):
        prepare.climbmix(2, b"", server.address)


def test_number_of_shards(server: Server) -> None:
    """At least one to train on, and never the one that is held out."""
    for count in (0, -1, prepare.LAST_SHARD + 1):
        with pytest.raises(ValueError, match=r"data.shards"):
            prepare.climbmix(count, b"", server.address)


# --- own texts --------------------------------------------------------------------------------------------------


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    """Text, JSON lines and parquet, plain and compressed; a line without an end counts as well."""
    (tmp_path / "a.txt").write_text(text(1))
    with pa.output_stream(str(tmp_path / "b.txt.zst"), compression="zstd") as file:
        file.write(text(2).encode())
    lines = "\n".join(json.dumps({"text": text(number)}) for number in (3, 4))
    (tmp_path / "c.jsonl").write_text(lines)
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(f"{lines}\n\n".encode()))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/e.parquet").write_bytes(shard_bytes(5, 20))
    (tmp_path / "notes.md").write_text("no text of the corpus")
    expected = [text(number) for number in (1, 2, 3, 4, 3, 4, *range(5, 25))]
    assert list(own_texts.documents(tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", '{"text": 3}'), ("a.jsonl", "no json"), ("a.parquet", "no parquet"), ("b.md", "text")],
)
def test_wrong_files_are_named(tmp_path: Path, name: str, content: str) -> None:
    """One line with the file's name; an empty folder says what is looked for."""
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=name if name != "b.md" else "no .txt, .jsonl, .parquet"):
        list(own_texts.documents(tmp_path))


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    """A copy with another beginning goes where its original goes; a licence in every file ties nothing together."""
    licence = text(10**6, 60)
    documents = [f"{licence} {text(number, 300)}" for number in range(300)]
    documents += [f"A new start. {text(number, 300)}" for number in range(100)]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in documents))
    parts = own_texts.splits(tmp_path, b"secret")
    where = {one: name for name, part in parts.items() for one in part}
    assert len(where) == 400
    together = sum(where[documents[number]] == where[documents[300 + number]] for number in range(100))
    assert together == 100
    held_out = [name for name in where.values() if name != "train"]
    assert 4 <= len(held_out) <= 40
    other = {one: name for name, part in own_texts.splits(tmp_path, b"other").items() for one in part}
    assert other != where, "the secret decides what is held out"


def test_too_few_texts(tmp_path: Path) -> None:
    """One document cannot be train, val and test."""
    (tmp_path / "a.txt").write_text(text(1))
    with pytest.raises(ValueError, match="too few"):
        own_texts.splits(tmp_path, b"")


def test_own_texts_from_folder_to_tokens(tmp_path: Path) -> None:
    """The tokens are those of the training texts, one after another, and no held-out one is among them."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    texts = [text(number, 80) for number in range(400)]
    (corpus / "a.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    sizes = prepare.Sizes(vocabulary=300, context=16, held_out_bytes=2000)
    parts = own_texts.splits(corpus, b"secret")
    prepare.write(tmp_path / "public", tmp_path / "private", "cpu", sizes, parts, "own")
    tokens = np.load(tmp_path / "public/train/tokens.npy")
    meta = json.loads((tmp_path / "public/meta.json").read_text())
    pieces = [
        bytes.fromhex(piece)
        for piece in json.loads((tmp_path / "public/tokenizer.json").read_text())["tokens"]
    ]
    found = b"".join(b"\0" if token == meta["bos"] else pieces[token] for token in tokens).decode()
    assert found.split("\0")[1:] == list(parts["train"])
    assert meta["train_tokens"] == len(tokens)
    assert not [path for path in (tmp_path / "public/train").iterdir() if path.name != "tokens.npy"]
