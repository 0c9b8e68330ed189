"""Trains a small language model on tokens, for as long as the budget lasts. The one file that an agent edits.

Called as `train.py --data DIR --out DIR --seed N --seconds S`; writes out/model.safetensors.
`load_predictor` at the end is what the referee calls to use those weights.

Two parts whose logits add up: what followed each token in the training text, counted once, and a GPT that learns
what the tokens before say beyond that. Ten CPU seconds are enough to count three million tokens, and to train on
some hundred thousand. Profile gpu has a program of its own, in gpu/.
"""

import argparse
import json
import os
import sys
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

COUNTED = {1: 1.0}  # how far back an earlier token lies: weight of what was counted to follow it there


@dataclass(frozen=True)
class Sizes:
    """One value for every setting of the GPT and its training."""

    depth: int = 1
    width: int = 64
    heads: int = 4
    context: int = 128  # tokens a training row
    rows: int = 4  # a step
    embedding_rate: float = 0.002  # AdamW, for what tokens look up and for the output layer
    matrix_rate: float = 0.01  # Muon, for all other matrices
    momentum: float = 0.95  # Muon
    weight_decay: float = 0.1  # of the matrices
    warm_up: float = 0.02  # share of the budget
    warm_down: float = 0.5  # share of the budget
    final_rate: float = 0.02  # share of the full learning rate that is left at the end


SIZES = Sizes()
SMOOTHING = 1.0  # of the counts: weight of single tokens for every kind of token that followed
BASE_SEED = 42  # mixed with --seed, so that this program's streams are its own
RESERVE_TIMES = 4  # not tuned: so often what saving took in the rehearsal is kept back: the load may grow
ENDING_SECONDS = 0.1  # not tuned: kept back besides, for what lies before the first look at the clock and after


# --- counts -----------------------------------------------------------------------------------------------------


def single_shares(tokens, vocabulary):
    """How often each token is, [vocabulary]; none is 0."""
    return (np.bincount(tokens, minlength=vocabulary) + 1.0) / (len(tokens) + vocabulary)


def counted_odds(tokens, vocabulary, distance):
    """log p(b `distance` after a) - log p(b), [a, b]: Witten and Bell's smoothing towards single tokens."""
    single = single_shares(tokens, vocabulary)
    places = tokens[:-distance].astype(np.int64) * vocabulary + tokens[distance:]
    counts = np.bincount(places, minlength=vocabulary**2).reshape(vocabulary, vocabulary).astype(np.float32)
    kinds = SMOOTHING * ((counts > 0).sum(1, keepdims=True) + 1)
    shares = (counts + kinds * single) / (counts.sum(1, keepdims=True) + kinds)
    return torch.from_numpy(np.log(shares / single).astype(np.float32))


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
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.hidden_out.weight)

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


class Model(nn.Module):
    """Tokens [rows, length] -> logits [rows, length, vocabulary]."""

    def __init__(self, sizes, vocabulary):
        super().__init__()
        self.head_width = sizes.width // sizes.heads
        self.register_buffer("single", torch.zeros(vocabulary))
        self.register_buffer("odds", torch.zeros(len(COUNTED), vocabulary, vocabulary))
        self.embedding = nn.Embedding(vocabulary, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.depth))
        self.head = nn.Linear(sizes.width, vocabulary, bias=False)

    @torch.no_grad()
    def count(self, tokens):
        """Fills the tables; tokens that are followed by the same ones get embeddings that are alike."""
        vocabulary = len(self.single)
        self.single.copy_(torch.from_numpy(np.log(single_shares(tokens, vocabulary))))
        for table, distance in zip(self.odds, COUNTED, strict=True):
            table.copy_(counted_odds(tokens, vocabulary, distance))
        left, values, right = torch.svd_lowrank(self.odds[0], self.embedding.weight.size(1), niter=2)
        self.embedding.weight.copy_(left * values.sqrt())
        self.head.weight.copy_(right * values.sqrt())

    def forward(self, tokens):
        return self.counted(tokens).add_(self.learned(tokens))

    def counted(self, tokens):
        """The logits of the counts, as if the earlier tokens were independent of each other."""
        logits = self.single.repeat(*tokens.shape, 1)
        for table, (distance, weight) in zip(self.odds, COUNTED.items(), strict=True):
            earlier = tokens[:, : tokens.size(1) - distance + 1]
            logits[:, distance - 1 :].add_(F.embedding(earlier, table), alpha=weight)
        return logits

    def learned(self, tokens):
        """The logits of what the blocks add to the tokens' own embeddings: nothing before they were trained."""
        cosine, sine = self.positions(tokens.size(1))
        x = first = norm(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, cosine, sine)
        return self.head(x - first)

    def positions(self, length):
        frequencies = 10000 ** (-torch.arange(0, self.head_width, 2) / self.head_width)
        angles = torch.outer(torch.arange(length).float(), frequencies)
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
    x = matrix / (matrix.norm() + 1e-7)
    if tall := x.size(0) > x.size(1):
        x = x.T
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def optimisers(model, sizes):
    looked_up = [model.embedding.weight, model.head.weight]
    return [
        AdamW(looked_up, sizes.embedding_rate),
        Muon(model.blocks.parameters(), sizes.matrix_rate, sizes.momentum, sizes.weight_decay),
    ]


def rate_factor(progress, sizes):
    """progress: share of the budget that is used, 0 to 1. Warm-up, constant, straight down."""
    if progress < sizes.warm_up:
        return progress / sizes.warm_up
    return max(min(1.0, (1 - progress) / sizes.warm_down), sizes.final_rate)


# --- training ---------------------------------------------------------------------------------------------------


def batches(tokens, sizes, seed):
    """Inputs and targets [rows, context] at random places, for ever."""
    generator = np.random.default_rng([BASE_SEED, seed])
    offsets = np.arange(sizes.context + 1)
    while True:
        starts = generator.integers(0, len(tokens) - sizes.context, sizes.rows)
        rows = torch.from_numpy(tokens[starts[:, None] + offsets].astype(np.int64))
        yield rows[:, :-1], rows[:, 1:]


def loss_of(model, inputs, targets):
    """Mean cross-entropy in nats a token."""
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def train(model, tokens, sizes, seed, progress_of, report):
    """Counts, then steps until progress_of(step) is 1; none that would lead beyond. Returns how many steps."""
    model.count(tokens)
    source, chosen = batches(tokens, sizes, seed), optimisers(model, sizes)
    step, progress, took = 0, progress_of(0), 0.0
    while progress + took < 1 + 1e-9:  # another step as long as the last one ends in time
        loss = loss_of(model, *next(source))
        loss.backward()
        for optimiser in chosen:
            optimiser.step(rate_factor(progress, sizes))
        model.zero_grad(set_to_none=True)
        step += 1
        report(step, float(loss.detach()))
        now = progress_of(step)
        progress, took = now, now - progress
    return step


def built(sizes, vocabulary, seed, out):
    """A new model, and the CPU seconds to keep back for the end.

    Everything that training does was done once, on random tokens and another model: what torch loads late is there.
    """
    random = np.random.default_rng(BASE_SEED).integers(0, vocabulary, 100 * sizes.context).astype(np.uint16)
    rehearsed = Model(sizes, vocabulary)
    train(rehearsed, random, sizes, 0, float, lambda *_: None)
    start = time.process_time()
    save(rehearsed, sizes, vocabulary, out)
    os.remove(out / "model.safetensors")
    saving_seconds = time.process_time() - start
    torch.manual_seed(BASE_SEED + seed)
    return Model(sizes, vocabulary), RESERVE_TIMES * saving_seconds + ENDING_SECONDS


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
    torch.set_num_threads(1)
    sizes, out = SIZES, Path(options.out)
    model, reserve_seconds = built(sizes, meta["vocabulary"], options.seed, out)
    report = Report(out, every=50)  # not tuned

    training = open_gate(options.data)  # from here on the training data can be read and the time counts
    start = time.process_time()  # what the referee bills
    tokens = np.load(training["tokens.npy"])
    tokens_a_step = sizes.context * sizes.rows

    def progress_of(step):
        if training.steps or training.tokens:
            return step / (training.steps or max(1, training.tokens // tokens_a_step))
        return (time.process_time() - start) / (options.seconds - reserve_seconds)

    steps = train(model, tokens, sizes, options.seed, progress_of, report)
    seconds = time.process_time() - start
    save(model, sizes, meta["vocabulary"], out)
    report.write(steps, tokens=steps * tokens_a_step, steps_a_second=round(steps / seconds, 2))
    print(f"{steps} steps of {tokens_a_step} tokens in {seconds:.1f} s")


# --- artefact ---------------------------------------------------------------------------------------------------


def save(model, sizes, vocabulary, out):
    """Weights, and in the file's metadata the sizes that are needed to build the model again."""
    weights = {name: weight.detach().contiguous() for name, weight in model.state_dict().items()}
    weights["odds"] = weights["odds"].half()
    settings = {"sizes": json.dumps(asdict(sizes)), "vocabulary": str(vocabulary)}
    save_file(weights, out / "model.safetensors", settings)


def load_predictor(artefact_path, data):  # noqa: ARG001 - the signature is the contract
    """Returns forward(tokens [rows, length]) -> logits [rows, length, vocabulary]; `data` is the public folder.

    The logit at a place may depend on the tokens up to that place in the same row, and on nothing else.
    """
    with safe_open(artefact_path, "pt") as file:
        settings = file.metadata()
    model = Model(Sizes(**json.loads(settings["sizes"])), int(settings["vocabulary"]))
    model.load_state_dict(load_file(artefact_path))
    model.eval()

    @torch.inference_mode()
    def forward(tokens):
        return model(tokens)

    return forward


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # torch takes up to a second of the budget to tidy up what the system takes back anyway
