"""Reads the golden artefact, a GPT of one block and width 24 with a tied output layer."""

import json

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotated(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def load_predictor(artefact_path, data):  # noqa: ARG001 - the signature is the contract
    with safe_open(artefact_path, "pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
    weights, heads = load_file(artefact_path), sizes["heads"]
    head_width = sizes["width"] // heads

    def block(x, number, cosine, sine):
        def multiplied(part, x):
            return x @ weights[f"blocks.{number}.{part}.weight"].T

        rows, length, width = x.shape
        parts = multiplied("attention_in", norm(x)).view(rows, length, 3, heads, head_width)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        q, k = norm(rotated(q, cosine, sine)), norm(rotated(k, cosine, sine))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + multiplied("attention_out", mixed.transpose(1, 2).reshape(rows, length, width))
        return x + multiplied("hidden_out", F.relu(multiplied("hidden_in", norm(x))).square())

    def forward(tokens):
        frequencies = 10000 ** (-torch.arange(0, head_width, 2) / head_width)
        angles = torch.outer(torch.arange(tokens.size(1)).float(), frequencies)
        x = norm(weights["embedding.weight"][tokens])
        for number in range(sizes["depth"]):
            x = block(x, number, angles.cos(), angles.sin())
        return 15 * torch.tanh(norm(x) @ weights["embedding.weight"].T / 15)

    return forward
