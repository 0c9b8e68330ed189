"""Data of an adopted checkout: its shards and its vocabulary, read where they lie and never written.

public/   tokenizer.json, token_bytes.npy    the vocabulary, and the bytes of raw text behind every token
          hub/                               kernels that the checkout's hub cache holds, if any
          train/tokens.npy, documents.npy    behind the gate: tokens [n], and where each document begins and ends [d, 2]
private/  {val,test}_rows.npy  [n, T + 1]    held-out rows, packed as the checkout's loader packs them
          {val,test}_bytes.npy  [n, T]       of the raw text behind every target, as the referee counts them
          {val,test}_printed_bytes.npy       as the checkout counts them, where that differs
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import packing  # noqa: E402 -- beside this file, which the harness runs from elsewhere

BATCH = 1024
PLACEBO_TOKENS = 4_000_000


def facts() -> dict:
    return json.loads((HERE / "adopted.json").read_text(encoding="utf-8"))


def prepare(public: Path, private: Path) -> None:
    """Raises ValueError, one line, for data that are not where the checkout says."""
    found = facts()
    for folder in (public / "train", private):
        folder.mkdir(parents=True, exist_ok=True)
    encoding, lengths = vocabulary()
    shutil.copyfile(HERE / "tokenizer.json", public / "tokenizer.json")
    np.save(public / "token_bytes.npy", lengths)
    counts = {"bytes": lengths}
    if found["counts_decoded"]:
        counts["printed_bytes"] = decoded_lengths(encoding, lengths)
    training, held_out = shards(found)
    write_tokens(public / "train", encoding, found["bos"], training)
    for name, rows in held_out_rows(encoding, found, held_out).items():
        np.save(private / f"{name}_rows.npy", rows)
        for kind, of_token in counts.items():
            np.save(private / f"{name}_{kind}.npy", of_token[rows[:, 1:]])
    copy_kernels(public / "hub", found["kernels"])


def reorder(train: Path, out: Path, seed: int) -> None:
    """The documents in another order; the tokens themselves stay where they are."""
    documents = np.load(train / "documents.npy")
    np.save(out / "documents.npy", np.random.default_rng(seed).permutation(documents))


def placebo(train: Path, out: Path, seed: int) -> None:
    """Training data of the same shape from which only the frequency of tokens can be learned."""
    out.mkdir(parents=True, exist_ok=True)
    tokens = np.load(train / "tokens.npy", mmap_mode="r")[:PLACEBO_TOKENS]
    documents = np.load(train / "documents.npy")
    np.save(out / "tokens.npy", np.random.default_rng(seed).permutation(tokens))
    np.save(out / "documents.npy", documents[documents[:, 1] <= len(tokens)])


def vocabulary() -> tuple[object, np.ndarray]:
    """The encoding, and int32 [vocabulary] bytes of raw text behind every token (0: special)."""
    import tiktoken

    content = json.loads((HERE / "tokenizer.json").read_text(encoding="utf-8"))
    ranks = {bytes.fromhex(piece): rank for piece, rank in content["ranks"]}
    encoding = tiktoken.Encoding(
        "adopted", pat_str=content["pattern"], mergeable_ranks=ranks, special_tokens=content["special"]
    )
    lengths = np.zeros(encoding.n_vocab, np.int32)
    for piece, rank in ranks.items():
        lengths[rank] = len(piece)
    return encoding, lengths


def decoded_lengths(encoding, lengths: np.ndarray) -> np.ndarray:
    """Bytes a token by decoding it alone: a piece that is no whole UTF-8 counts as U+FFFD, three bytes each."""
    printed = lengths.copy()
    for token in np.flatnonzero(lengths):
        printed[token] = len(encoding.decode([int(token)]).encode())
    return printed


def shards(found: dict) -> tuple[list[Path], Path]:
    """Training shards and the one that is held out."""
    folder = Path(found["data"])
    files = (
        sorted(path for kind in ("*.parquet", "*.jsonl", "*.txt") for path in folder.glob(kind))
        if folder.is_dir()
        else []
    )
    if len(files) < 2:
        raise ValueError(
            f"{folder} holds {len(files)} shards (*.parquet): two are needed; run the checkout's own prepare.py"
        )
    held_out = next((path for path in files if path.name == found["validation_shard"]), files[-1])
    training = [path for path in files if path != held_out]
    return training[: found["most_shards"]], held_out


def texts(path: Path) -> Iterator[str]:
    """Documents of a shard, in order, a row group at a time."""
    if path.suffix == ".txt":
        yield path.read_text(encoding="utf-8")
    elif path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"]
    else:
        shard = parquet(path)
        for group in range(shard.num_row_groups):
            yield from shard.read_row_group(group, columns=["text"]).column("text").to_pylist()


def parquet(path: Path):
    """The open shard. Raises ValueError, one line."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ValueError("the shards are parquet files: pip install pyarrow") from None
    try:
        return ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no parquet file that can be read: {str(error)[:100]}") from None


def encoded(encoding: object, bos: int, path: Path) -> Iterator[np.ndarray]:
    """Every document of a shard as tokens that begin with <bos>."""
    batch: list[str] = []
    for text in texts(path):
        batch.append(text)
        if len(batch) == BATCH:
            yield from _arrays(encoding, bos, batch)
            batch = []
    yield from _arrays(encoding, bos, batch)


def _arrays(encoding, bos: int, batch: list[str]) -> Iterator[np.ndarray]:
    threads = os.cpu_count() or 1
    for tokens in encoding.encode_ordinary_batch(batch, num_threads=threads):
        yield np.array([bos, *tokens], np.uint32)


def write_tokens(folder: Path, encoding, bos: int, training: list[Path]) -> None:
    """tokens.npy and documents.npy, written shard by shard: memory is bounded by a shard's row group."""
    kind = np.uint16 if encoding.n_vocab <= 1 << 16 else np.uint32
    raw, ends = folder / "tokens.part", [0]
    with raw.open("wb") as file:
        for path in training:
            for tokens in encoded(encoding, bos, path):
                file.write(tokens.astype(kind).tobytes())
                ends.append(ends[-1] + len(tokens))
    flat = np.memmap(raw, kind, "r")
    whole = np.lib.format.open_memmap(folder / "tokens.npy", "w+", kind, flat.shape)
    step = 1 << 24
    for start in range(0, len(flat), step):
        whole[start : start + step] = flat[start : start + step]
    whole.flush()
    raw.unlink()
    places = np.array(ends, np.int64)
    np.save(folder / "documents.npy", np.stack([places[:-1], places[1:]], axis=1))


def held_out_rows(encoding, found: dict, path: Path) -> dict[str, np.ndarray]:
    """val: the rows that the checkout itself evaluates on; test, sealed: rows of documents that come after those.

    Where a shard is too small for both, each gets half of its documents.
    """
    documents = list(encoded(encoding, found["bos"], path))
    if len(documents) < 2:
        raise ValueError(f"{path} holds {len(documents)} documents: too few for two splits")
    length, wanted = found["sequence_length"], max(1, found["evaluation_tokens"] // found["sequence_length"])
    packer = packing.Packer(iter([(each, 1) for each in documents]), length + 1, refills(path))
    rows = packing.rows_of(packer, length + 1, wanted)
    if len(rows) == wanted and packer.drawn <= len(documents) // 2:
        return {"val": rows, "test": packed(documents[packer.drawn :], length, wanted)}
    middle = len(documents) // 2
    return {
        "val": packed(documents[:middle], length, wanted),
        "test": packed(documents[middle:], length, wanted),
    }


def refills(path: Path) -> Iterator[int]:
    """How many documents the checkout's loader adds each time: 128, and what is left at the end of a row group."""
    if path.suffix == ".parquet":
        about = parquet(path).metadata
        for group in range(about.num_row_groups):
            left = about.row_group(group).num_rows
            while left:
                yield min(left, packing.REFILL)
                left -= min(left, packing.REFILL)


def packed(documents: list[np.ndarray], length: int, wanted: int) -> np.ndarray:
    """Rows [n, T + 1]: as many as asked for, or as one pass over the documents gives."""
    tokens = np.concatenate(documents)
    ends = np.cumsum([0, *map(len, documents)])
    stream = packing.document_stream(tokens, np.stack([ends[:-1], ends[1:]], axis=1))
    most = max(1, min(wanted, len(tokens) // (length + 1)))
    return packing.rows_of(packing.Packer(stream, length + 1), length + 1, most)


def copy_kernels(hub: Path, repositories: list[str]) -> None:
    """What the hub's cache holds of the kernels that train.py asks for; a trial has no network to fetch them."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    for repository in repositories:
        folder = f"models--{repository.replace('/', '--')}"
        if (cache / folder).is_dir():
            shutil.copytree(cache / folder, hub / folder, symlinks=False)
