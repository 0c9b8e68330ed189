"""Fine-tunes GPT-2 to write the words that a query lacks: adapters of low rank beside frozen published weights.

train.py --data DIR --out DIR --seed N --seconds S
load_predictor(artefact_path, data) -> expand(list of queries) -> list of {word: weight}

The model is that of Radford et al., Language Models are Unsupervised Multitask Learners (2019), under the names of its
published tensors; the adapters are those of Hu et al., LoRA (2021).
"""

import argparse
import json
import re
import time
from pathlib import Path

import tiktoken
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from words import tokens

HEAD_WIDTH = 64
RANK = 16
ADAPTER_SCALE = 2.0
BATCH = 16
PASSES = 3  # over the pairs; more would learn them by heart
LEARNING_RATE = 5e-4
RESERVE_SECONDS = 10  # not tuned: kept for writing the artefact

PROMPT_TOKENS = 48
ANSWER_TOKENS = 40
ROWS = 64  # decoded together, always as many
MOST_WORDS = 32  # in an expansion, the query's own included
EXPANSION_WEIGHT = 0.4  # of a word that the model is sure of; the words of the query weigh 1

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Tensors = dict[str, torch.Tensor]


class Adapted(nn.Module):
    """x [..., in] -> [..., out]: a frozen weight, stored [in, out] as published, plus a trained product of low rank."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        super().__init__()
        self.register_buffer("weight", tensors[f"{name}.weight"], persistent=False)
        self.register_buffer("bias", tensors[f"{name}.bias"], persistent=False)
        inside, outside = self.weight.shape
        self.down = nn.Parameter(torch.randn(inside, RANK) / inside**0.5)
        self.up = nn.Parameter(torch.zeros(RANK, outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias + ADAPTER_SCALE * (x @ self.down @ self.up)


class Norm(nn.Module):
    """Layer normalisation over the last dimension, frozen."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        super().__init__()
        self.register_buffer("weight", tensors[f"{name}.weight"], persistent=False)
        self.register_buffer("bias", tensors[f"{name}.bias"], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias)


class Block(nn.Module):
    def __init__(self, tensors: Tensors, name: str) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = Norm(tensors, f"{name}.ln_1"), Norm(tensors, f"{name}.ln_2")
        self.attention_in = Adapted(tensors, f"{name}.attn.c_attn")
        self.attention_out = Adapted(tensors, f"{name}.attn.c_proj")
        self.hidden_in, self.hidden_out = (
            Adapted(tensors, f"{name}.mlp.c_fc"),
            Adapted(tensors, f"{name}.mlp.c_proj"),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, width = x.shape
        parts = self.attention_in(self.norm_1(x)).view(rows, length, 3, -1, HEAD_WIDTH)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each [rows, heads, length, HEAD_WIDTH]
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.hidden_out(functional.gelu(self.hidden_in(self.norm_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    """Sizes follow from the tensors' shapes. Only the adapters are trained and stored."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self.register_buffer("words", tensors["wte.weight"], persistent=False)
        self.register_buffer("places", tensors["wpe.weight"], persistent=False)
        depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("h."))
        self.blocks = nn.ModuleList(Block(tensors, f"h.{number}") for number in range(depth))
        self.norm = Norm(tensors, "ln_f")

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Tokens [rows, length] -> states [rows, length, width]."""
        x = self.words[numbers] + self.places[: numbers.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """[..., width] -> [..., vocabulary]."""
        return states @ self.words.T


class Text:
    """Words to token numbers and back. end: the number that ends a text."""

    def __init__(self, data: str) -> None:
        pieces = [bytes.fromhex(piece) for piece in json.loads((Path(data) / "pieces.json").read_text())]
        ranks = {piece: number for number, piece in enumerate(pieces)}
        self.end = len(pieces)
        pattern = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+"  # all that our words and " =>" need of GPT-2's
        self._encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        self.pieces = [piece.decode("latin-1") for piece in pieces]

    def prompt(self, query: str) -> list[int]:
        question, arrow = self._encoding.encode_ordinary(query), self._encoding.encode_ordinary(" =>")
        return [self.end, *question[: PROMPT_TOKENS - 1 - len(arrow)], *arrow]

    def answer(self, words: list[str]) -> list[int]:
        numbers = self._encoding.encode_ordinary("".join(f" {word}" for word in words))
        return [*numbers[: ANSWER_TOKENS - 1], self.end]

    def banned(self) -> torch.Tensor:
        """bool [vocabulary]: tokens that no answer may hold: neither a word of a-z and 0-9, nor a part of one."""
        allowed = [bool(re.fullmatch(" ?[a-z0-9]*", piece)) for piece in self.pieces]
        return ~torch.tensor([*allowed, True])


# --- answers ----------------------------------------------------------------------------------------------------


def load_predictor(artefact_path: str, data: str):
    text = Text(data)
    model = GPT2(load_file(Path(data) / "gpt2.safetensors"))
    model.load_state_dict(load_file(artefact_path))
    model.to(DEVICE).eval()

    def expand(queries: list[str]) -> list[dict[str, float]]:
        found = []
        for start in range(0, len(queries), ROWS):
            batch = queries[start : start + ROWS]
            found += map(expansion, batch, written(model, text, batch))
        return found

    return expand


@torch.inference_mode()
def written(model: GPT2, text: Text, queries: list[str]) -> list[list[tuple[str, float]]]:
    """For each of at most ROWS queries the likeliest next tokens, as words and the chance of their least likely part.

    Every call has one shape and full precision, so that a query's words do not depend on its company. No token comes
    twice: that ends loops.
    """
    numbers = torch.full((ROWS, PROMPT_TOKENS + ANSWER_TOKENS), text.end, device=DEVICE)
    prompts = [text.prompt(query) for query in queries] + [[text.end]] * (ROWS - len(queries))
    for row, prompt in enumerate(prompts):
        numbers[row, : len(prompt)] = torch.tensor(prompt)
    starts = torch.tensor([len(prompt) for prompt in prompts], device=DEVICE)
    rows, banned = torch.arange(ROWS, device=DEVICE), text.banned().to(DEVICE).repeat(ROWS, 1)
    chances = torch.zeros(ROWS, ANSWER_TOKENS, device=DEVICE)
    for place in range(ANSWER_TOKENS):
        states = model(numbers)[rows, starts + place - 1]
        logits = model.logits(states).masked_fill(banned, -torch.inf)
        chances[:, place], chosen = logits.softmax(-1).max(-1)
        numbers[rows, starts + place] = chosen
        banned[rows, chosen] = chosen != text.end
    answers = numbers[rows[:, None], starts[:, None] + torch.arange(ANSWER_TOKENS, device=DEVICE)]
    return [
        words(answer, chance, text)
        for answer, chance in zip(answers[: len(queries)].tolist(), chances.tolist(), strict=False)
    ]


def words(answer: list[int], chances: list[float], text: Text) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for number, chance in zip(answer, chances, strict=True):
        if number == text.end:
            break
        piece = text.pieces[number]
        if piece.startswith(" ") or not found:
            found.append((piece.strip(), chance))
        else:
            found[-1] = (found[-1][0] + piece, min(found[-1][1], chance))
    return found


def expansion(query: str, guesses: list[tuple[str, float]]) -> dict[str, float]:
    """The query's own words, and guessed ones that it lacks by their chance; at most MOST_WORDS in all."""
    weights: dict[str, float] = {}
    for word in query.split():
        if word in weights or len(weights) < MOST_WORDS:
            weights[word[:64]] = min(4.0, weights.get(word, 0.0) + 1.0)
    known = set(tokens(query))
    for word, chance in guesses:
        stems = tokens(word)
        if stems and stems[0] not in known and len(word) <= 64 and len(weights) < MOST_WORDS:
            known.add(stems[0])
            weights[word] = EXPANSION_WEIGHT * chance
    return weights


# --- training ---------------------------------------------------------------------------------------------------

Example = tuple[list[int], list[int]]
"""(tokens of the prompt, tokens of the answer)"""


def examples(lines: list[str], text: Text) -> list[Example]:
    rows = map(json.loads, lines)
    return [(text.prompt(row["query"]), text.answer(lacking(row))) for row in rows]


def lacking(row: dict) -> list[str]:
    """Words of the expansion that the query lacks, one a stem: first the key words, then the made-up passage."""
    known, found = set(tokens(row["query"])), []
    for word in re.findall(r"[a-z0-9]+", " ".join([*row["lex"], *row["hyde"]]).lower()):
        for stem in tokens(word):
            if stem not in known:
                known.add(stem)
                found.append(word)
    return found


def loss_of(model: GPT2, batch: list[Example], end: int) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens, in nats."""
    longest = max(len(prompt) + len(answer) for prompt, answer in batch)
    numbers = torch.full((len(batch), longest), end)
    counted = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(batch):
        length = len(prompt) + len(answer)
        numbers[row, :length] = torch.tensor([*prompt, *answer])
        counted[row, len(prompt) : length] = True
    numbers, counted = numbers.to(DEVICE), counted.to(DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
        logits = model.logits(model(numbers[:, :-1])[counted[:, 1:]])
    return functional.cross_entropy(logits.float(), numbers[:, 1:][counted[:, 1:]])


def train(model: GPT2, found: list[Example], end: int, seed: int, ends: float, claims: Path) -> None:
    """PASSES over the examples, or until time.monotonic() is `ends`."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(found), generator=generator) for _ in range(PASSES)]).tolist()
    begins = time.monotonic()
    for start in range(0, len(order), BATCH):
        if (now := time.monotonic()) >= ends:
            break
        done = max(start / len(order), (now - begins) / (ends - begins))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (1 + start / BATCH) / 20) * (1 - done)
        loss = loss_of(model, [found[number] for number in order[start : start + BATCH]], end)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step = start // BATCH + 1
        if step % 10 == 0 or start + BATCH >= len(order):
            with claims.open("a") as file:
                file.write(json.dumps({"step": step, "loss": loss.item()}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    text = Text(arguments.data)
    model = GPT2(load_file(Path(arguments.data) / "gpt2.safetensors")).to(DEVICE)

    from harness.gate import open_gate  # billing starts when it opens

    training = open_gate(arguments.data)
    ends = time.monotonic() + arguments.seconds - RESERVE_SECONDS
    found = examples(Path(training["pairs.jsonl"]).read_text().splitlines(), text)
    train(model, found, text.end, arguments.seed, ends, Path(arguments.out) / "claims.jsonl")
    save_file(model.state_dict(), Path(arguments.out) / "model.safetensors")


if __name__ == "__main__":
    main()
