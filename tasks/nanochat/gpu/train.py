"""Trains a GPT on one GPU, for as long as the budget lasts. The one file that an agent edits (profile gpu).

Called as `train.py --data DIR --out DIR --seed N --seconds S`; writes out/model.safetensors.
`load_predictor` at the end is what the referee calls to use those weights.

Where the parts come from: rotary positions, normalised queries and keys, squared ReLU, zero-initialised outputs,
value embeddings and bounded logits are the practice of modded-nanogpt and nanochat; Muon is Keller Jordan's, its
polar iteration Amsel et al. (arXiv 2505.16932), its scaling by row NorMuon (arXiv 2510.05491).
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from harness.gate import open_gate

try:
    import triton
    import triton.language as tl
except ImportError:  # a machine without a GPU, where tests of small models run
    triton = None


@dataclass(frozen=True)
class Settings:
    """One value for everything that can be tuned."""

    depth: int = 6
    width: int = 512
    heads: int = 4
    context: int = 2048  # tokens a row
    rows: int = 64  # a step
    pairs: int = 1 << 16  # rows of the table that the last two tokens are hashed into
    table_rate: float = 0.6  # AdamW, for the embeddings
    head_rate: float = 0.006  # AdamW, for the output layer
    scalar_rate: float = 0.02  # AdamW, for mixing weights and gates
    matrix_rate: float = 0.04  # Muon, for all other matrices
    momentum: float = 0.95  # Muon
    weight_decay: float = 0.1  # Muon, where it does not work against the update; falls to 0
    warm_up: float = 0.01  # share of the budget
    warm_down: float = 0.6  # share of the budget
    final_rate: float = 0.02  # share of the full learning rate that is left at the end


SETTINGS = Settings()
BASE_SEED = 42  # mixed with --seed, so that this program's streams are its own
CAP = 15.0  # logits are kept within +-CAP
GATE_WIDTH = 32  # channels that decide how much of a value embedding is added
LOSS_BLOCK, LOSS_WARPS = 1024, 4  # of the kernel below: classes looked at at a time, and warps
STEPS_AHEAD = 2  # that the processor may be ahead of the GPU: it stays busy, and the clock right


# --- model ------------------------------------------------------------------------------------------------------


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotated(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class GPT(nn.Module):
    """Tokens [rows, length] -> logits [rows, length, vocabulary]. Matrices of one shape lie in one bank, for Muon."""

    def __init__(self, settings, vocabulary):
        super().__init__()
        depth, width = settings.depth, settings.width
        self.settings = settings
        self.valued = [block for block in range(depth) if (depth - 1 - block) % 2 == 0]
        self.table = nn.Parameter(torch.empty(vocabulary, (1 + len(self.valued)) * width))
        self.pairs = nn.Parameter(torch.zeros(settings.pairs, width))
        self.head = nn.Parameter(torch.empty(vocabulary, width))
        self.square = nn.Parameter(torch.empty(depth, 4, width, width))  # queries, keys, values, output
        self.hidden = nn.Parameter(torch.empty(depth, 2, 4 * width, width))  # in and, transposed, out
        self.mix = nn.Parameter(torch.tensor([[1.0, 0.1, 0.1]] * depth))  # of stream, tokens, pairs of tokens
        self.gates = nn.Parameter(torch.zeros(len(self.valued), settings.heads, GATE_WIDTH))
        frequencies = 10000 ** torch.linspace(0, -1, width // settings.heads // 2)
        angles = torch.outer(torch.arange(settings.context), frequencies)
        self.register_buffer("cosine", angles.cos()[:, None], persistent=False)
        self.register_buffer("sine", angles.sin()[:, None], persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self):
        bound = (3 / self.settings.width) ** 0.5
        self.table.uniform_(-bound, bound)
        self.table[:, : self.settings.width].normal_()
        self.head.normal_(std=0.001)
        self.square.uniform_(-bound, bound)[:, 3] = 0
        self.hidden.uniform_(-bound, bound)[:, 1] = 0

    def stream(self, tokens):
        """What the output layer is given, [rows, length, width]."""
        settings, width = self.settings, self.settings.width
        rows, length = tokens.shape
        cosine, sine = half(self.cosine[:length]), half(self.sine[:length])
        looked_up = F.embedding(tokens, half(self.table)).split(width, dim=-1)
        of_pair = F.embedding(hashed_pairs(tokens, settings.pairs), half(self.pairs))
        of_token = x = norm(looked_up[0])
        square, hidden = half(self.square).unbind(0), half(self.hidden).unbind(0)
        values, mix, gates = iter(looked_up[1:]), half(self.mix), half(self.gates).unbind(0)
        for block in range(settings.depth):
            x = mix[block, 0] * x + mix[block, 1] * of_token + mix[block, 2] * of_pair
            entering = norm(x)
            parts = F.linear(entering, square[block][:3].reshape(3 * width, width))
            q, k, v = parts.view(rows, length, 3, settings.heads, -1).unbind(2)
            if block in self.valued:
                share = 2 * torch.sigmoid(F.linear(x[..., :GATE_WIDTH], gates[self.valued.index(block)]))
                v = v + share[..., None] * next(values).view(v.shape)
            q, k = norm(rotated(q, cosine, sine)), norm(rotated(k, cosine, sine))
            q, k, v = (part.transpose(1, 2) for part in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
            x = x + F.linear(mixed.reshape(rows, length, width), square[block][3])
            x = x + F.relu(F.linear(norm(x), hidden[block][0])).square() @ hidden[block][1]
        return norm(x)

    def forward(self, tokens):
        return bounded(F.linear(self.stream(tokens), half(self.head)).float())


def half(x):
    """bfloat16 where the GPU multiplies it faster."""
    return x.bfloat16() if x.is_cuda else x


def hashed_pairs(tokens, rows):
    """A row of the table of pairs for every token and the one before it; the first of a row has none before."""
    before = F.pad(tokens, (1, 0))[:, :-1]
    return ((tokens * 36313) ^ (before * 27191 + 7)) % rows


def bounded(logits):
    return CAP * torch.tanh(logits / CAP)


if triton:

    @triton.jit
    def powers_of(logits, places, classes, cap: tl.constexpr):
        """e to the bounded logits, less their bound so that no maximum is needed; and their tanh."""
        raw = tl.load(logits + places, mask=places < classes, other=0.0).to(tl.float32)
        tanh = 2 * tl.sigmoid(raw * (2 / cap)) - 1
        return tl.where(places < classes, tl.exp(cap * tanh - cap), 0.0), tanh

    @triton.jit
    def cross_entropy_kernel(
        logits, targets, losses, slopes, classes, scale: tl.constexpr, cap: tl.constexpr, BLOCK: tl.constexpr
    ):
        """One row of logits: its loss, and the slope of `scale` times the loss."""
        row = tl.program_id(0).to(tl.int64)
        logits += row * classes
        slopes += row * classes
        target = tl.load(targets + row)
        sums = tl.zeros((BLOCK,), tl.float32)
        hits = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, classes, BLOCK):
            places = start + tl.arange(0, BLOCK)
            powers, tanh = powers_of(logits, places, classes, cap)
            sums += powers
            hits += tl.where(places == target, tanh, 0.0)
        total = tl.sum(sums, 0)
        tl.store(losses + row, tl.log(total) + cap - cap * tl.sum(hits, 0))
        share = 1 / total
        for start in range(0, classes, BLOCK):
            places = start + tl.arange(0, BLOCK)
            powers, tanh = powers_of(logits, places, classes, cap)
            slope = (powers * share - tl.where(places == target, 1.0, 0.0)) * (1 - tanh * tanh) * scale
            tl.store(slopes + places, slope.to(tl.bfloat16), mask=places < classes)


class CheapLoss(torch.autograd.Function):
    """Mean cross-entropy of bounded logits: 16-bit logits are read once and their slope is written once."""

    @staticmethod
    def forward(context, x, head, targets):
        logits = x @ head.T
        losses = torch.empty(len(x), device=x.device)
        slopes = torch.empty_like(logits)
        classes = head.size(0)
        cross_entropy_kernel[(len(x),)](
            logits, targets, losses, slopes, classes, 1 / len(x), CAP, BLOCK=LOSS_BLOCK, num_warps=LOSS_WARPS
        )
        context.save_for_backward(x, head, slopes)
        return losses.mean()

    @staticmethod
    def backward(context, slope):
        x, head, slopes = context.saved_tensors
        return (slopes @ head) * slope.to(x.dtype), (slopes.T @ x) * slope.to(x.dtype), None


def loss_of(model, rows, stream=GPT.stream):
    """Mean cross-entropy in nats a token; rows [n, length + 1]. Not compiled itself: torch would not cache it."""
    x, targets = stream(model, rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()
    if x.is_cuda:
        return CheapLoss.apply(x, half(model.head), targets)
    return F.cross_entropy(bounded(F.linear(x, model.head)), targets)


# --- optimisers -------------------------------------------------------------------------------------------------

POLAR = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonal(banks):
    """The nearest matrices with all singular values about one; banks [..., m, n] with m >= n."""
    x = half(banks)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    for a, b, c in POLAR:
        squared = x.mT @ x
        x = a * x + x @ (b * squared + c * (squared @ squared))
    return x.float()


def muon_step(bank, slope, average, spread, momentum, rate, decay):
    """One step for a bank of matrices; momentum, rate and decay are tensors, so that nothing is compiled again."""
    average.lerp_(slope, 1 - momentum)
    update = orthogonal(slope.lerp(average, momentum))
    squares = update.square().mean(-1, keepdim=True)
    spread.lerp_(squares, 0.05)
    even = update * spread.clamp_min(1e-10).rsqrt()
    even = even * (
        update.norm(dim=(-2, -1), keepdim=True) / even.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-10)
    )
    even = even * (bank.size(-2) / bank.size(-1)) ** 0.5
    bank.sub_(rate * (even + decay * bank * (even * bank > 0)))


class Muon:
    """Momentum, orthogonalised, of even size a row; all matrices of one shape at a time."""

    def __init__(self, banks, settings, compiled):
        self.settings = settings
        self.banks = list(banks)
        self.averages = [torch.zeros_like(bank) for bank in self.banks]
        self.spreads = [torch.zeros_like(bank[..., :1]) for bank in self.banks]
        self.update = torch.compile(muon_step, dynamic=False) if compiled else muon_step

    @torch.no_grad()
    def step(self, factor, progress, steps):
        settings = self.settings
        momentum = settings.momentum - 0.1 * max(0.0, 1 - steps / 300)
        values = (momentum, settings.matrix_rate * factor, settings.weight_decay * (1 - progress))
        values = [torch.tensor(value, dtype=torch.float32) for value in values]
        for bank, average, spread in zip(self.banks, self.averages, self.spreads, strict=True):
            self.update(bank, bank.grad, average, spread, *values)


def optimisers(model, settings):
    """AdamW for what is looked up and for single numbers, Muon for matrices that multiply."""
    small = {"betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 0.0}
    groups = [
        {"params": [model.table, model.pairs], "lr": settings.table_rate},
        {"params": [model.head], "lr": settings.head_rate},
        {"params": [model.mix, model.gates], "lr": settings.scalar_rate, "betas": (0.96, 0.95)},
    ]
    adam = torch.optim.AdamW(groups, fused=model.table.is_cuda, **small)
    for group in adam.param_groups:
        group["full_rate"] = group["lr"]
    return adam, Muon([model.square, model.hidden], settings, model.table.is_cuda)


def rate_factor(progress, settings):
    """progress: share of the budget that is used, 0 to 1. Warm-up, constant, straight down."""
    if progress < settings.warm_up:
        return (progress + 1e-3) / (settings.warm_up + 1e-3)
    return min(1.0, settings.final_rate + (1 - settings.final_rate) * (1 - progress) / settings.warm_down)


def take_step(model, adam, muon, progress, step):
    factor = rate_factor(progress, muon.settings)
    for group in adam.param_groups:
        group["lr"] = group["full_rate"] * factor
    adam.step()
    muon.step(factor, progress, step)
    model.zero_grad(set_to_none=True)


class Rows:
    """Training rows [rows, context + 1] for ever, without the processor: all tokens lie on the GPU.

    They begin where scored rows begin, at a document's start and every `context` tokens from there, in an order
    drawn anew for every pass over the text.
    """

    def __init__(self, tokens, bos, settings, seed, device):
        self.tokens = torch.from_numpy(tokens.view(np.int16)).to(device)
        self.settings = settings
        self.random = torch.Generator(device).manual_seed(BASE_SEED + seed)
        self.offsets = torch.arange(settings.context + 1, device=device)
        self.starts = self.row_starts(bos)
        self.order, self.place = None, 0

    def row_starts(self, bos):
        context, count = self.settings.context, len(self.tokens)
        firsts = (self.tokens == bos).nonzero()[:, 0]
        pieces = (torch.diff(firsts, append=firsts.new_tensor([count])) + context - 1) // context
        owners = torch.repeat_interleave(firsts, pieces)
        before = torch.repeat_interleave(pieces.cumsum(0) - pieces, pieces)
        starts = owners + (torch.arange(len(owners), device=firsts.device) - before) * context
        return starts.clamp_max(count - context - 1)

    def __next__(self):
        count = self.settings.rows
        if self.order is None or self.place + count > len(self.order):
            shuffled = torch.randperm(len(self.starts), generator=self.random, device=self.starts.device)
            self.order, self.place = shuffled.repeat(-(-count // len(shuffled))), 0
        chosen = self.starts[self.order[self.place : self.place + count]]
        self.place += count
        return self.tokens[chosen[:, None] + self.offsets].long() & 0xFFFF


# --- training ---------------------------------------------------------------------------------------------------


class Steps:
    """Lets the processor run ahead by a few steps, and hands out the losses of those that are done."""

    def __init__(self, on_gpu):
        self.on_gpu, self.waiting = on_gpu, []

    def add(self, loss):
        """The loss of an older step, or None. Returns once no more than STEPS_AHEAD are under way."""
        kept, done = loss.detach(), None
        if self.on_gpu:
            kept, done = torch.empty((), pin_memory=True), torch.cuda.Event()
            kept.copy_(loss.detach(), non_blocking=True)
            done.record()
        self.waiting.append((kept, done))
        return self.oldest() if len(self.waiting) > STEPS_AHEAD else None

    def oldest(self):
        kept, done = self.waiting.pop(0)
        if done:
            done.synchronize()
        return float(kept)


def train(model, compiled, chosen, rows, budget, report):
    """Steps until the budget ends; none is begun that may not end in time. `compiled` computes the loss of `model`."""
    steps, step = Steps(model.table.is_cuda), 0
    while budget.allows(step):
        loss = compiled(model, next(rows))
        loss.backward()
        take_step(model, *chosen, budget.progress(step), step)
        step += 1
        if (known := steps.add(loss)) is not None:
            report(step - STEPS_AHEAD, known)
    while steps.waiting:
        report(step - len(steps.waiting) + 1, steps.oldest())
    return step


class Budget:
    """Wall-clock seconds from now, or so many steps if the budget is fixed work."""

    def __init__(self, training, seconds, tokens_a_step):
        self.start, self.seconds = time.monotonic(), seconds
        self.steps = training.steps or (training.tokens and max(1, training.tokens // tokens_a_step))

    def used_seconds(self):
        return time.monotonic() - self.start

    def progress(self, step):
        return min(1.0, step / self.steps if self.steps else self.used_seconds() / self.seconds)

    def allows(self, step):
        """Another step beside those that the GPU has still to do: each takes as long as the mean of those before."""
        if self.steps:
            return step < self.steps
        return self.used_seconds() * (1 + (STEPS_AHEAD + 1) / max(1, step)) < self.seconds


def built(settings, vocabulary, seed, device):
    """Model, function of its loss and optimisers, warmed up on random tokens before any data; then set back."""
    torch.manual_seed(BASE_SEED + seed)
    model = GPT(settings, vocabulary).to(device)
    weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    on_gpu = device == "cuda"
    compiled = partial(loss_of, stream=torch.compile(GPT.stream, dynamic=False)) if on_gpu else loss_of
    chosen = optimisers(model, settings)
    for _ in range(3 if on_gpu else 1):
        rows = torch.randint(vocabulary, (settings.rows, settings.context + 1), device=device)
        compiled(model, rows).backward()
        take_step(model, *chosen, 0.0, 0)
    model.load_state_dict(weights)
    adam, muon = optimisers(model, settings)
    muon.update = chosen[1].update
    return model, compiled, (adam, muon)


class Report:
    """Writes what this program says about itself to claims.jsonl; the referee shows it and believes none of it."""

    def __init__(self, out, every):
        self.file = (out / "claims.jsonl").open("a", encoding="utf-8")
        self.every, self.losses = every, []

    def __call__(self, step, loss):
        self.losses.append(loss)
        if step % self.every == 0:
            self.write(step)

    def write(self, step, **more):
        mean = float(np.mean(self.losses[-self.every :] or [0.0]))
        self.file.write(json.dumps({"step": step, "loss": round(mean, 4), **more}) + "\n")
        self.file.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this program needs a CUDA device; profile cpu has another one")
    meta = json.loads((Path(options.data) / "meta.json").read_text(encoding="utf-8"))
    settings, out = SETTINGS, Path(options.out)
    torch.backends.cuda.enable_flash_sdp(False)  # cuDNN's attention is the faster one on Hopper
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    model, compiled, chosen = built(settings, meta["vocabulary"], options.seed, "cuda")
    reserve_seconds = 0.5 + 2 * seconds_of_saving(model, meta["vocabulary"], out)
    report = Report(out, every=20)

    tokens_a_step = settings.context * settings.rows
    training = open_gate(options.data)  # from here on the training data can be read and the time counts
    budget = Budget(training, options.seconds - reserve_seconds, tokens_a_step)
    rows = Rows(np.load(training["tokens.npy"]), meta["bos"], settings, options.seed, "cuda")
    steps = train(model, compiled, chosen, rows, budget, report)
    rate = round(steps * tokens_a_step / budget.used_seconds())
    save(model, meta["vocabulary"], out)
    gpu_gib = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    report.write(steps, tokens=steps * tokens_a_step, tokens_a_second=rate, gpu_gib=gpu_gib)


# --- artefact ---------------------------------------------------------------------------------------------------


def save(model, vocabulary, out):
    """Weights in 16 bits, as they are used, and in the file's metadata what is needed to build the model again."""
    weights = {name: weight.detach().bfloat16().cpu() for name, weight in model.state_dict().items()}
    settings = {"settings": json.dumps(asdict(model.settings)), "vocabulary": str(vocabulary)}
    save_file(weights, out / "model.safetensors", settings)


def seconds_of_saving(model, vocabulary, out):
    """Measured on the untrained model; what it wrote is taken away again."""
    start = time.monotonic()
    save(model, vocabulary, out)
    os.remove(out / "model.safetensors")
    return time.monotonic() - start


def load_predictor(artefact_path, data):  # noqa: ARG001 - the signature is the contract
    """Returns forward(tokens [rows, length]) -> logits [rows, length, vocabulary]; `data` is the public folder.

    The logit at a place may depend on the tokens up to that place in the same row, and on nothing else.
    """
    with safe_open(artefact_path, "pt") as file:
        about = file.metadata()
    device, kind = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    with torch.device(device):
        model = GPT(Settings(**json.loads(about["settings"])), int(about["vocabulary"])).to(kind)
    model.load_state_dict(load_file(artefact_path, device=device))

    @torch.inference_mode()
    def forward(tokens):
        return model(tokens.to(device, non_blocking=True))

    return forward


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # torch takes seconds to tidy up what the system takes back anyway
