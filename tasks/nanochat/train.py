"""Trains a small GPT on tokens, for as long as the budget lasts. The one file that an agent edits.

Called as `train.py --data DIR --out DIR --seed N --seconds S`; writes out/model.safetensors.
`load_predictor` at the end is what the referee calls to use those weights.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from harness.gate import open_gate


@dataclass(frozen=True)
class Sizes:
    """One value for every setting; public/meta.json says which of the sets below applies."""

    depth: int
    width: int
    heads: int
    context: int  # tokens a training row
    rows: int  # a forward pass
    passes: int  # forward and backward passes a step: their gradients are added up
    embedding_rate: float  # AdamW, for the embedding, which is the output layer too
    matrix_rate: float  # Muon, for all other matrices
    momentum: float  # Muon
    weight_decay: float  # of the matrices
    warm_up: float  # share of the budget
    warm_down: float  # share of the budget
    final_rate: float  # share of the full learning rate that is left at the end
    reserve_seconds: float  # kept back for writing the result


CPU = Sizes(
    depth=2,
    width=128,
    heads=4,
    context=128,
    rows=16,
    passes=1,
    embedding_rate=0.006,
    matrix_rate=0.02,
    momentum=0.95,
    weight_decay=0.1,
    warm_up=0.02,
    warm_down=0.5,
    final_rate=0.02,
    reserve_seconds=0.8,
)
GPU = Sizes(
    depth=8,
    width=512,
    heads=4,
    context=2048,
    rows=64,
    passes=4,
    embedding_rate=0.006,
    matrix_rate=0.02,
    momentum=0.95,
    weight_decay=0.1,
    warm_up=0.0,
    warm_down=0.5,
    final_rate=0.02,
    reserve_seconds=5.0,
)
BASE_SEED = 42  # mixed with --seed, so that this program's streams are its own


# --- model ------------------------------------------------------------------------------------------------------


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


class Block(nn.Module):
    """Causal attention with rotary positions and normalised queries and keys, then a squared-ReLU layer."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.hidden_in = nn.Linear(width, 4 * width, bias=False)
        self.hidden_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x, cosine, sine):
        rows, length, width = x.shape
        parts = self.attention_in(norm(x)).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        q, k = norm(rotated(q, cosine, sine)), norm(rotated(k, cosine, sine))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.hidden_out(F.relu(self.hidden_in(norm(x))).square())


def rotated(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class GPT(nn.Module):
    """Tokens [rows, length] -> logits [rows, length, vocabulary]."""

    def __init__(self, sizes, vocabulary):
        super().__init__()
        self.head_width = sizes.width // sizes.heads
        self.embedding = nn.Embedding(vocabulary, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.depth))
        nn.init.normal_(self.embedding.weight, std=0.02)
        for block in self.blocks:
            nn.init.zeros_(block.attention_out.weight)
            nn.init.zeros_(block.hidden_out.weight)

    def forward(self, tokens):
        cosine, sine = self.positions(tokens.size(1), tokens.device)
        x = norm(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, cosine.to(x.dtype), sine.to(x.dtype))
        logits = F.linear(norm(x), self.embedding.weight).float()
        return 15 * torch.tanh(logits / 15)

    def positions(self, length, device):
        frequencies = 10000 ** (-torch.arange(0, self.head_width, 2, device=device) / self.head_width)
        angles = torch.outer(torch.arange(length, device=device).float(), frequencies)
        return angles.cos(), angles.sin()


# --- optimisers -------------------------------------------------------------------------------------------------


# Plain classes: importing torch.optim's machinery would cost seconds of start-up.


class AdamW:
    """Adam with decoupled weight decay, for one set of parameters."""

    def __init__(self, parameters, rate, betas=(0.9, 0.95), epsilon=1e-8, weight_decay=0.0):
        self.parameters = list(parameters)
        self.rate, self.betas, self.epsilon, self.weight_decay = rate, betas, epsilon, weight_decay
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, rate_factor):
        self.steps += 1
        rate = self.rate * rate_factor
        corrections = [1 - beta**self.steps for beta in self.betas]
        for parameter, first, second in zip(self.parameters, self.first, self.second, strict=True):
            first.lerp_(parameter.grad, 1 - self.betas[0])
            second.mul_(self.betas[1]).addcmul_(parameter.grad, parameter.grad, value=1 - self.betas[1])
            root = (second / corrections[1]).sqrt_().add_(self.epsilon)
            parameter.mul_(1 - rate * self.weight_decay)
            parameter.addcdiv_(first, root, value=-rate / corrections[0])


class Muon:
    """Momentum, then the nearest matrix whose singular values are all about one (Newton-Schulz iteration)."""

    def __init__(self, matrices, rate, momentum, weight_decay):
        self.matrices = list(matrices)
        self.rate, self.momentum, self.weight_decay = rate, momentum, weight_decay
        self.averages = [torch.zeros_like(matrix) for matrix in self.matrices]

    @torch.no_grad()
    def step(self, rate_factor):
        rate = self.rate * rate_factor
        for matrix, average in zip(self.matrices, self.averages, strict=True):
            average.lerp_(matrix.grad, 1 - self.momentum)
            update = orthogonal(matrix.grad.lerp(average, self.momentum))
            matrix.mul_(1 - rate * self.weight_decay)
            matrix.add_(update, alpha=-rate * max(1, matrix.size(0) / matrix.size(1)) ** 0.5)


def orthogonal(matrix, iterations=5):
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    x = x / (x.norm() + 1e-7)
    if tall := x.size(0) > x.size(1):
        x = x.T
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).type_as(matrix)


def optimisers(model, sizes):
    return [
        AdamW(model.embedding.parameters(), sizes.embedding_rate),
        Muon(model.blocks.parameters(), sizes.matrix_rate, sizes.momentum, sizes.weight_decay),
    ]


def rate_factor(progress, sizes):
    """progress: share of the budget that is used, 0 to 1. Warm-up, constant, straight down."""
    if progress < sizes.warm_up:
        return progress / sizes.warm_up
    return max(min(1.0, (1 - progress) / sizes.warm_down), sizes.final_rate)


# --- training ---------------------------------------------------------------------------------------------------


def batches(tokens, sizes, seed, device):
    """Inputs and targets [rows, context] at random places, for ever."""
    generator = np.random.default_rng([BASE_SEED, seed])
    offsets = np.arange(sizes.context + 1)
    while True:
        starts = generator.integers(0, len(tokens) - sizes.context, sizes.rows)
        rows = torch.from_numpy(tokens[starts[:, None] + offsets].astype(np.int64))
        rows = rows.to(device, non_blocking=True)
        yield rows[:, :-1], rows[:, 1:]


def loss_of(model, inputs, targets):
    """Mean cross-entropy in nats a token. On a GPU the matrices are multiplied in bfloat16."""
    with torch.autocast("cuda", torch.bfloat16, enabled=inputs.is_cuda):
        logits = model(inputs)
    return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def train(model, compiled, tokens, sizes, seed, progress_of, report):
    """Steps until progress_of(step) is 1; none that would lead beyond. `compiled` computes the loss of `model`."""
    device = model.embedding.weight.device
    source = batches(tokens, sizes, seed, device)
    chosen = optimisers(model, sizes)
    step, progress, took = 0, progress_of(0), 0.0
    while progress + took < 1 + 1e-9:  # another step as long as the last one ends in time
        total = 0.0
        for _ in range(sizes.passes):
            loss = compiled(model, *next(source)) / sizes.passes
            loss.backward()
            total += loss.detach()
        for optimiser in chosen:
            optimiser.step(rate_factor(progress, sizes))
        model.zero_grad(set_to_none=True)
        step += 1
        report(step, float(total))  # reading the loss also waits for the GPU, so that the clock is right
        now = progress_of(step)
        progress, took = now, now - progress
    return step


def built(sizes, vocabulary, seed, device):
    """A new model, and the function that computes its loss, both warmed up on random tokens before any data."""
    torch.manual_seed(BASE_SEED + seed)
    model = GPT(sizes, vocabulary).to(device)
    compiled = torch.compile(loss_of, dynamic=False) if device == "cuda" else loss_of
    rows = torch.randint(vocabulary, (sizes.rows, sizes.context + 1), device=device)
    compiled(model, rows[:, :-1], rows[:, 1:]).backward()
    for optimiser in optimisers(model, sizes):
        optimiser.step(0.0)  # changes no weight
    model.zero_grad(set_to_none=True)
    return model, compiled


class Report:
    """Writes what this program says about itself to claims.jsonl; the referee shows it and believes none of it."""

    def __init__(self, out, every):
        self.file = (out / "claims.jsonl").open("a", encoding="utf-8")
        self.every = every
        self.losses = []

    def __call__(self, step, loss):
        self.losses.append(loss)
        if step % self.every == 0:
            self.write(step)

    def write(self, step, **more):
        mean = sum(self.losses[-self.every :]) / max(1, len(self.losses[-self.every :]))
        self.file.write(json.dumps({"step": step, "loss": round(mean, 4), **more}) + "\n")
        self.file.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    meta = json.loads((Path(options.data) / "meta.json").read_text(encoding="utf-8"))
    on_gpu = meta["profile"] == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise SystemExit("the data are those of profile gpu, and there is no CUDA device")
    sizes, device = (GPU, "cuda") if on_gpu else (CPU, "cpu")
    clock = time.monotonic if on_gpu else time.process_time  # what the referee bills
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    model, compiled = built(sizes, meta["vocabulary"], options.seed, device)
    report = Report(Path(options.out), every=5 if on_gpu else 50)

    training = open_gate(options.data)  # from here on the training data can be read and the time counts
    start = clock()
    tokens = np.load(training["tokens.npy"])
    tokens_a_step = sizes.context * sizes.rows * sizes.passes

    def progress_of(step):
        if training.steps or training.tokens:
            return step / (training.steps or max(1, training.tokens // tokens_a_step))
        return (clock() - start) / (options.seconds - sizes.reserve_seconds)

    steps = train(model, compiled, tokens, sizes, options.seed, progress_of, report)
    seconds = clock() - start
    save(model, sizes, meta["vocabulary"], Path(options.out))
    report.write(steps, tokens=steps * tokens_a_step, steps_a_second=round(steps / seconds, 2))
    print(f"{steps} steps of {tokens_a_step} tokens in {seconds:.1f} s")


# --- artefact ---------------------------------------------------------------------------------------------------


def save(model, sizes, vocabulary, out):
    """Weights, and in the file's metadata the sizes that are needed to build the model again."""
    weights = {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}
    settings = {"sizes": json.dumps(asdict(sizes)), "vocabulary": str(vocabulary)}
    save_file(weights, out / "model.safetensors", settings)


def load_predictor(artefact_path, data):  # noqa: ARG001 - the signature is the contract
    """Returns forward(tokens [rows, length]) -> logits [rows, length, vocabulary]; `data` is the public folder.

    The logit at a place may depend on the tokens up to that place in the same row, and on nothing else.
    """
    with safe_open(artefact_path, "pt") as file:
        settings = file.metadata()
    sizes = Sizes(**json.loads(settings["sizes"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPT(sizes, int(settings["vocabulary"]))
    model.load_state_dict(load_file(artefact_path))
    model.to(device).eval()

    @torch.inference_mode()
    def forward(tokens):
        with torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda"):
            return model(tokens.to(device))

    return forward


if __name__ == "__main__":
    main()
