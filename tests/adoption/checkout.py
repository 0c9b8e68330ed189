"""A small checkout of autoresearch's shape, in our own words: CPU-sized, with a night on a branch."""

import pickle
import subprocess
from pathlib import Path

import rustbpe
import tiktoken

LENGTH, EVALUATED, VOCABULARY = 32, 4096, 300
PATTERN = r"\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+"
PREPARE = '''\
"""Data and evaluation; not to be changed."""
import math, os, pickle
import torch
MAX_SEQ_LEN = 32
TIME_BUDGET = 3
EVAL_TOKENS = 4 * 1024
CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")
DATA_DIR = os.path.join(CACHE_DIR, "data")
TOKENIZER_DIR = os.path.join(CACHE_DIR, "tokenizer")
VAL_SHARD = 9
VAL_FILENAME = f"shard_{VAL_SHARD:05d}.parquet"
VOCAB_SIZE = 300
SPECIAL_TOKENS = [f"<|special_{i}|>" for i in range(2)]
BOS_TOKEN = "<|special_0|>"


class Tokenizer:
    def __init__(self, enc):
        self.enc = enc

    @classmethod
    def from_directory(cls, folder=TOKENIZER_DIR):
        with open(os.path.join(folder, "tokenizer.pkl"), "rb") as file:
            return cls(pickle.load(file))

    def get_vocab_size(self):
        return self.enc.n_vocab


def get_token_bytes(tokenizer):
    found = []
    for token in range(tokenizer.get_vocab_size()):
        text = tokenizer.enc.decode([token])
        found.append(0 if text in SPECIAL_TOKENS else len(text.encode("utf-8")))
    return torch.tensor(found)


def documents(split):
    import pyarrow.parquet as parquet

    names = sorted(name for name in os.listdir(DATA_DIR) if (name == VAL_FILENAME) == (split == "val"))
    epoch = 1
    while True:
        for name in names:
            shard = parquet.ParquetFile(os.path.join(DATA_DIR, name))
            for group in range(shard.num_row_groups):
                texts = shard.read_row_group(group).column("text").to_pylist()
                for first in range(0, len(texts), 128):
                    yield texts[first : first + 128], epoch
        epoch += 1


def make_dataloader(tokenizer, B, T, split, buffer_size=1000):
    first = tokenizer.enc.encode_single_token(BOS_TOKEN)
    source, waiting = documents(split), []
    while True:
        rows = []
        for _ in range(B):
            row = []
            while len(row) <= T:
                while len(waiting) < buffer_size:
                    texts, epoch = next(source)
                    waiting += [[first, *tokens] for tokens in tokenizer.enc.encode_ordinary_batch(texts)]
                room = T + 1 - len(row)
                sizes = [len(each) for each in waiting]
                best = max((size for size in sizes if size <= room), default=min(sizes))
                row += waiting.pop(sizes.index(best))[:room]
            rows.append(row)
        batch = torch.tensor(rows)
        yield batch[:, :-1].contiguous(), batch[:, 1:].contiguous(), epoch


@torch.no_grad()
def evaluate_bpb(model, tokenizer, batch_size):
    lengths = get_token_bytes(tokenizer)
    loader = make_dataloader(tokenizer, batch_size, MAX_SEQ_LEN, "val")
    nats = text_bytes = 0.0
    for _ in range(EVAL_TOKENS // (batch_size * MAX_SEQ_LEN)):
        x, y, _ = next(loader)
        counted = lengths[y.flatten()]
        nats += (model(x, y, reduction="none").flatten() * (counted > 0)).sum().item()
        text_bytes += counted.sum().item()
    return nats / (math.log(2) * text_bytes)
'''
TRAIN = '''\
"""One file, seeded once, trained until the budget is used up."""
import math
import time
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader


@dataclass
class Sizes:
    vocabulary: int
    width: int = 48


class Mixer(nn.Module):
    """Causal: every place sees the running mean of those before it."""

    def __init__(self, sizes):
        super().__init__()
        self.embed = nn.Embedding(sizes.vocabulary, sizes.width)
        self.mix = nn.Linear(2 * sizes.width, sizes.width)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        self.register_buffer("count", torch.arange(1, 4097).float(), persistent=False)

    def forward(self, idx, targets=None, reduction="mean"):
        x = self.embed(idx)
        mean = x.cumsum(1) / self.count[: idx.size(1), None]
        logits = self.head(F.relu(self.mix(torch.cat([x, mean], -1))))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


class Signs:
    """Steps by the sign of a running gradient. Of its own: torch.optim brings half of torch along."""

    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr
        self.mean = [torch.zeros_like(each) for each in self.parameters]

    @torch.no_grad()
    def step(self):
        for parameter, mean in zip(self.parameters, self.mean):
            mean.lerp_(parameter.grad, 0.1)
            parameter -= self.lr * mean.sign()

    def zero_grad(self, set_to_none=True):
        for parameter in self.parameters:
            parameter.grad = None


RATE = 3e-3
ROWS = 16
torch.manual_seed(42)
tokenizer = Tokenizer.from_directory()
model = Mixer(Sizes(tokenizer.get_vocab_size()))
optimizer = Signs(model.parameters(), lr=RATE)
loader = make_dataloader(tokenizer, ROWS, MAX_SEQ_LEN, "train")
x, y, epoch = next(loader)

spent, step = 0.0, 0
while True:
    began = time.time()
    loss = model(x, y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    x, y, epoch = next(loader)
    if step > 10:
        spent += time.time() - began
    step += 1
    if step > 10 and spent >= TIME_BUDGET:
        break

model.eval()
val_bpb = evaluate_bpb(model, tokenizer, ROWS)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"num_steps:        {step}")
'''
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "that",
    "one",
    "small",
    "dog",
    "ran",
    "from",
    "two",
    "big",
    "red",
    "birds",
    "over",
    "there",
]


def texts(start: int, count: int) -> list[str]:
    """Sentences of a grammar that can be learned a little; some with a rare sign, whose bytes no piece joins."""
    found = []
    for number in range(start, start + count):
        state, words = number * 2654435761 % 2**32, []
        for _ in range(20 + number % 40):
            state = (state * 1103515245 + 12345) % 2**31
            words.append(WORDS[(state >> 16) % len(WORDS)])
        if number % 7 == 0:
            words.insert(3, chr(0x2600 + number % 199))
        found.append(" ".join(words) + ".")
    return found


def make_cache(home: Path) -> None:
    """Shards and a pickled vocabulary below ~/.cache/autoresearch."""
    import pyarrow as arrow
    from pyarrow import parquet

    data, place = (home / ".cache/autoresearch" / name for name in ("data", "tokenizer"))
    data.mkdir(parents=True)
    place.mkdir()
    for number, count in ((0, 1500), (1, 1500), (9, 2600)):
        table = arrow.table({"text": texts(100_000 * number, count)})
        parquet.write_table(table, data / f"shard_{number:05d}.parquet", row_group_size=500)
    made = rustbpe.Tokenizer()
    made.train_from_iterator(iter(texts(0, 500)), VOCABULARY - 2, pattern=PATTERN)
    ranks = {bytes(piece): rank for piece, rank in made.get_mergeable_ranks()}
    special = {f"<|special_{number}|>": len(ranks) + number for number in range(2)}
    encoding = tiktoken.Encoding("made", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)
    (place / "tokenizer.pkl").write_bytes(pickle.dumps(encoding))


def make_checkout(folder: Path, train: str = TRAIN, prepare: str = PREPARE, night: bool = True) -> Path:
    """A git repository with a branch of two keeps and a results.tsv; night=False: a plain folder."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(train)
    (folder / "prepare.py").write_text(prepare)
    (folder / "program.md").write_text("# Improve val_bpb\n\nEdit train.py only.\n")
    if night:
        _git(folder, "init", "-q", "-b", "main")
        _commit(folder, "start")
        _git(folder, "checkout", "-q", "-b", "autoresearch/nov1")
        hashes = []
        for old, new, words in (
            ("RATE = 3e-3", "RATE = 1e-2", "larger rate"),
            ("ROWS = 16", "ROWS = 8", "fewer rows a step"),
        ):
            (folder / "train.py").write_text((folder / "train.py").read_text().replace(old, new))
            hashes.append(_commit(folder, words))
        _git(folder, "checkout", "-q", "main")
        lines = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription", "0000000\t2.000000\t1.0\tkeep\tbaseline"]
        lines += [
            f"{hashes[0][:7]}\t1.900000\t1.0\tkeep\tlarger rate",
            f"{hashes[1][:7]}\t1.890000\t1.0\tkeep\tfewer rows",
        ]
        (folder / "results.tsv").write_text(
            "\n".join([*lines, "fffffff\t0.000000\t0.0\tcrash\twider"]) + "\n"
        )
    return folder


def _commit(folder: Path, words: str) -> str:
    _git(folder, "add", "-A")
    _git(folder, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", words)
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
