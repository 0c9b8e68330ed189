"""How fast are artefacts scored, and what do the audits cost?

    python scripts/bench_scoring.py                        nanochat's CPU shape on this machine
    python scripts/bench_scoring.py --gpu 0                nanochat's GPU shape, 1M tokens
    python scripts/bench_scoring.py --gpu 0 --tokens 20971520

Three ways, side by side in every round: the model alone in this process (forward pass and cross-entropy), scored
without audits, scored with the default audits. With --bus a fourth: as before the GPU's memory was shared, the logits
crossing the bus twice. Weights are random, tokens too: neither changes the time.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from harness.records import Direction, Outcome, Split, TrialResult
from harness.sandbox.open import open_sandbox
from harness.scoring.evaluator import SandboxEvaluator, Scoring
from harness.task.task import Profile, Task, TaskData

MODEL = """
import json
import torch
import torch.nn.functional as F
from torch import nn


def norm(x):
    return F.rms_norm(x, (x.shape[-1],))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x, cosine, sine):
        rows, length, width = x.shape
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in self.qkv(norm(x)).chunk(3, -1))
        q, k = (norm(turn(part, cosine, sine)) for part in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.relu(self.up(norm(x))).square())


def turn(x, cosine, sine):
    left, right = x.chunk(2, -1)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)


class Model(nn.Module):
    def __init__(self, classes, depth, width, heads, context):
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.head = nn.Linear(width, classes, bias=False)
        half = width // heads // 2
        angles = torch.outer(torch.arange(context), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, tokens):
        tokens = tokens.to(self.head.weight.device, non_blocking=True)
        x = norm(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, self.cosine[: tokens.shape[1]], self.sine[: tokens.shape[1]])
        logits = self.head(norm(x))
        logits = logits if SIXTEEN_BITS else logits.float()
        return 15 * torch.tanh(logits / 15)


def load_predictor(artefact, data):
    from safetensors.torch import load_file

    device = "cuda" if SIXTEEN_BITS_WEIGHTS else "cpu"
    with torch.device(device):  # no weights drawn on a processor to be thrown away
        model = Model(*SHAPE)
    model.load_state_dict(load_file(artefact, device=device))
    return model.to(torch.bfloat16 if SIXTEEN_BITS_WEIGHTS else torch.float32)
"""

EVALUATE = """
import numpy as np

def evaluate(subject, private, split):
    losses = subject.losses(np.load(private / f"{split}.npy"))
    return {"bpb": float(losses.mean())}
"""


@dataclasses.dataclass(frozen=True)
class Shape:
    classes: int
    depth: int
    width: int
    heads: int
    context: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", type=int, help="index of the GPU; without it, the CPU")
    parser.add_argument("--tokens", type=int, help="default: 1048576 on a GPU, 163840 on a CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="for log-softmax; 0: what suits the machine")
    parser.add_argument(
        "--bf16-logits", action="store_true", help="the model hands out bfloat16 (half the bytes)"
    )
    parser.add_argument("--bus", action="store_true", help="also with logits that cross the bus, unaudited")
    parser.add_argument("--batch-tokens", type=int, default=0, help="0: what suits the machine")
    parser.add_argument("--batch-mib", type=int, default=512)
    parser.add_argument("--level", default="auto", help="sandbox level")
    options = parser.parse_args()
    gpu = options.gpu is not None
    shape = Shape(8192, 8, 512, 4, 2048) if gpu else Shape(2048, 2, 128, 4, 128)
    tokens = options.tokens or ((1 << 20) if gpu else 163840)
    with tempfile.TemporaryDirectory() as folder:
        bench = ScoringBench(Path(folder), shape, tokens, options)
        rounds = [bench.round() for _ in range(options.rounds)]
    print(json.dumps(report(rounds, tokens, bench), indent=2))


def report(rounds: list[dict[str, float]], tokens: int, bench: "ScoringBench") -> dict[str, object]:
    """Medians over the rounds; ratios within a round, so that a busy machine disturbs both sides."""
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {
        "tokens": tokens,
        "shape": dataclasses.asdict(bench.shape),
        "device": torch.cuda.get_device_name(bench.gpu) if bench.gpu is not None else "cpu",
        "sandbox": bench.sandbox.level.name,
        "median_seconds": {name: round(value, 3) for name, value in middle.items()},
        "tokens_per_second": {
            name: round(tokens / value)
            for name, value in middle.items()
            if name in ("alone", "unaudited", "audited", "over the bus")
        },
        "to_alone": {
            name: round(statistics.median(one[name] / one["alone"] for one in rounds), 3)
            for name in ("unaudited", "audited", "over the bus")
            if name in middle
        },
        "audited_to_unaudited": round(
            statistics.median(one["audited"] / one["unaudited"] for one in rounds), 3
        ),
        "audit_to_scoring_pass": round(
            statistics.median(one["audit_pass"] / one["scoring_pass"] for one in rounds), 3
        ),
        "side": bench.side,
        "value_minus_plain_nats": bench.differences,
    }


class ScoringBench:
    """A task in a folder with one random model."""

    def __init__(self, folder: Path, shape: Shape, tokens: int, options: argparse.Namespace) -> None:
        self.shape, self.gpu = shape, options.gpu
        on_gpu = options.gpu is not None
        names = {"SHAPE": tuple(dataclasses.astuple(shape)), "SIXTEEN_BITS": options.bf16_logits}
        names["SIXTEEN_BITS_WEIGHTS"] = on_gpu
        code = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + MODEL
        self.tree = {"train.py": code.encode()}
        self.module: dict[str, object] = {}
        exec(code, self.module)  # our own text, from above
        torch.manual_seed(0)
        if not on_gpu:
            torch.set_num_threads(1)
        task, public, private = folder / "bench", folder / "public", folder / "private"
        for path in (task, public, private):
            path.mkdir()
        for name in ("task.yaml", "prepare.py", "program.md", "train.py"):
            (task / name).write_text("")
        (task / "train.py").write_text(code)  # a session's predictors import early what the task's program names
        (task / "evaluate.py").write_text(EVALUATE)
        rows = np.random.default_rng(0).integers(
            0, shape.classes, (tokens // shape.context, shape.context + 1)
        )
        self.rows = rows.astype(np.int32)
        np.save(private / "val.npy", self.rows)
        self.artefact = folder / "model.safetensors"
        save_file(self.module["Model"](*dataclasses.astuple(shape)).state_dict(), self.artefact)  # type: ignore[operator]
        self.sandbox = open_sandbox(options.level, allow_unsafe=True)
        profile = Profile(seconds=1, gpu=on_gpu, memory_gib=24 if on_gpu else 4)
        made = Task(
            str(task), "bpb", Direction.MINIMIZE, ("train.py",), {"cpu": profile},
            predictor="tokens", classes=shape.classes,
        )  # fmt: skip
        settings = Scoring(
            threads=options.threads, batch_tokens=options.batch_tokens, batch_mib=options.batch_mib
        )
        bare = dataclasses.replace(settings, cuts=0, replays=0, random_rows=0)
        ways = {"unaudited": bare, "audited": settings}
        if options.bus:
            ways["over the bus"] = dataclasses.replace(bare, on_device=False)
        self.evaluators = {
            name: SandboxEvaluator(
                self.sandbox, made, TaskData(public, private), profile, folder, one, options.gpu
            )
            for name, one in ways.items()
        }
        self.differences: dict[str, float] = {}
        self.side: dict[str, float] = {}

    def round(self) -> dict[str, float]:
        """Seconds of each way."""
        result = TrialResult("t", Outcome.COMPLETED, "", artefact=self.artefact.name)
        seconds: dict[str, float] = {}
        plain, seconds["alone"] = self.alone()
        for name, evaluator in self.evaluators.items():
            evaluator.await_ready()
            score = evaluator.score(result, self.tree, Split.VAL)
            if score.value is None:
                raise SystemExit(f"{score.status}: {score.reason}: {score.detail}")
            seconds[name] = score.seconds
            self.differences[name] = score.value - plain
            if name == "audited":
                side = score.side
                seconds |= {"scoring_pass": side["scoring.seconds"], "audit_pass": side["audit.seconds"]}
                self.side = {key: round(value, 6) for key, value in side.items()}
        return seconds

    def alone(self) -> tuple[float, float]:
        """Mean nats and seconds of the model in this process, loading included."""
        start = time.monotonic()
        model = self.module["load_predictor"](str(self.artefact), "")  # type: ignore[operator]
        batch = max(1, (16384 if self.gpu is not None else 4096) // self.shape.context)
        total = 0.0
        with torch.inference_mode():
            for first in range(0, len(self.rows), batch):
                part = torch.from_numpy(self.rows[first : first + batch]).long()
                logits = model(part[:, :-1])
                targets = part[:, 1:].to(logits.device)
                total += float(
                    F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")
                )
        return total / (self.rows.shape[0] * self.shape.context), time.monotonic() - start


if __name__ == "__main__":
    main()
