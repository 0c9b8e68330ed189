"""Small honest language models of several architectures: what a candidate's model file may look like."""

import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY = 48
WIDTH = 32
ARCHITECTURES = ("gpt", "tied", "window", "rnn", "convolution", "bag")


class Attention(nn.Module):
    def __init__(self, window=None):
        super().__init__()
        self.inside, self.outside, self.window = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), window

    def forward(self, x):
        rows, length, _ = x.shape
        q, k, v = (
            part.view(rows, length, 2, WIDTH // 2).transpose(1, 2) for part in self.inside(x).chunk(3, -1)
        )
        allowed = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        if self.window:
            allowed &= ~torch.ones_like(allowed).tril(-self.window)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.outside(y.transpose(1, 2).reshape(rows, length, WIDTH))


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Conv1d(WIDTH, WIDTH, 4)

    def forward(self, x):
        return F.silu(self.inside(F.pad(x.transpose(1, 2), (3, 0)))).transpose(1, 2)


class Recurrence(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, x):
        return self.inside(x)[0]


class Bag(nn.Module):
    """The running mean of what came before."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        counts = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        return self.inside(x.cumsum(1) / counts[None, :, None])


MIXERS = {
    "gpt": Attention,
    "tied": Attention,
    "window": lambda: Attention(6),
    "rnn": Recurrence,
    "convolution": Convolution,
    "bag": Bag,
}


class Model(nn.Module):
    def __init__(self, architecture):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Embedding(512, WIDTH)
        self.mixers = nn.ModuleList(MIXERS[architecture]() for _ in range(2))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.tied = architecture == "tied"

    def forward(self, tokens):
        x = self.embedding(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        for mixer, mlp in zip(self.mixers, self.mlps, strict=True):
            x = x + mixer(x)
            x = x + mlp(x)
        x = self.norm(x)
        return F.linear(x, self.embedding.weight) if self.tied else self.head(x)


def load(artefact, architecture, dtype="float32"):
    """The trained model, ready for questions; its logits are of `dtype`."""
    from safetensors.torch import load_file

    model = Model(architecture)
    model.load_state_dict(load_file(artefact))
    return model.eval().to(getattr(torch, dtype))
