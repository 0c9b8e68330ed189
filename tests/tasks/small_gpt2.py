"""Stand-ins of a few kilobytes for what the profile language_model downloads: same names, formats and layout.

Lay words and clinical words come in pairs. The documents are in clinical words, the queries in lay ones, and the
public pairs say which belong together, so that a model can learn what plain BM25 cannot know.
"""

import json
import random
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

SUBJECTS = 20
LAY = ["lay" + "abcdefghijklmnopqrstuvwxyz"[n] * 2 for n in range(SUBJECTS)]
CLINICAL = ["clin" + "abcdefghijklmnopqrstuvwxyz"[n] * 2 for n in range(SUBJECTS)]
COMMON = ["why", "treat", "old", "young", "men", "child", "is", "studied"]
WIDTH, DEPTH, CONTEXT = 64, 2, 128


def write_all(folder: Path) -> None:
    """The five files, under the names in the folder of downloads."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = write_vocabulary(folder / "gpt2-vocab.json", folder / "gpt2-merges.txt")
    save_file(weights(pieces), folder / "gpt2.safetensors")
    (folder / "qmd_expansion_v3_structured.jsonl").write_text(pairs())
    write_collection(folder / "nfcorpus.zip")


def write_vocabulary(vocabulary: Path, merges: Path) -> int:
    """GPT-2's files for its 256 bytes and our words; returns the number of tokens, the end of text included."""
    shown = [chr(byte) for byte in range(256) if chr(byte).isprintable() and byte != 32]
    symbols = [*shown, *(chr(256 + number) for number in range(256 - len(shown)))]
    space = symbols[len(shown) + 32]  # the 33rd byte that cannot be shown is the space
    rules: dict[str, None] = {}
    for word in [*LAY, *CLINICAL, *COMMON]:
        for spelling in (word, space + word):
            for end in range(1, len(spelling)):
                rules.setdefault(f"{spelling[:end]} {spelling[end]}")
    merges.write_text("\n".join(["#version: 0.2", *rules]) + "\n", encoding="utf-8")
    tokens = [*symbols, *(rule.replace(" ", "") for rule in rules), "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(tokens)}
    vocabulary.write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    return len(tokens)


def weights(tokens: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random GPT-2 under its published names: matrices [in, out], a causal mask that nobody needs."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float = 0.1) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * std

    found = {"wte.weight": normal(tokens, WIDTH, std=0.3), "wpe.weight": normal(CONTEXT, WIDTH)}
    norms = ["ln_f", *(f"h.{n}.{norm}" for n in range(DEPTH) for norm in ("ln_1", "ln_2"))]
    for name in norms:
        found |= {f"{name}.weight": 1 + normal(WIDTH), f"{name}.bias": normal(WIDTH)}
    for n in range(DEPTH):
        found[f"h.{n}.attn.bias"] = torch.ones(CONTEXT, CONTEXT).tril().view(1, 1, CONTEXT, CONTEXT)
        sizes = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1), "mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
        for name, (inside, outside) in sizes.items():
            found[f"h.{n}.{name}.weight"] = normal(inside * WIDTH, outside * WIDTH)
            found[f"h.{n}.{name}.bias"] = normal(outside * WIDTH)
    return found


def pairs() -> str:
    """Lines as in qmd: three a subject, one of a template, and two that are held-out queries."""
    rows = []
    for lay, clinical in zip(LAY, CLINICAL, strict=True):
        for question in ("why {}", "treat {}", "Old {}?"):
            output = [["hyde", f"{clinical} is studied."], ["lex", clinical], ["vec", f"what is {clinical}"]]
            rows.append({"query": question.format(lay), "output": output})
    rows.append({"query": "red sea", "output": [["lex", "red overview sea guide"], ["hyde", "x"]]})
    rows.append({"query": f"Young: {LAY[0]}", "output": [["lex", CLINICAL[0]], ["hyde", "x"]]})
    rows.append({"query": f"{LAY[1]}, young", "output": [["lex", CLINICAL[1]], ["hyde", "x"]]})
    random.Random(0).shuffle(rows)
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_collection(path: Path) -> None:
    """A BEIR zip: a document a subject; the subjects' queries in dev and test, some in train, one of them held out."""
    documents = [
        {"_id": f"D{n}", "title": f"{word} study", "text": f"{word} in many persons."}
        for n, word in enumerate(CLINICAL)
    ]
    forms = {"dev": "Young {}", "test": "men {}?", "train": "child {}"}
    queries, judgements = [], dict.fromkeys(forms, "query-id\tcorpus-id\tscore\n")
    for split, form in forms.items():
        for n, word in enumerate(LAY):
            queries.append({"_id": f"{split}{n}", "text": form.format(word)})
            judgements[split] += f"{split}{n}\tD{n}\t1\n"
    queries.append({"_id": "twin", "text": f"{LAY[2]} of the young"})
    judgements["train"] += "twin\tD2\t2\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nfcorpus/corpus.jsonl", "\n".join(map(json.dumps, documents)))
        archive.writestr("nfcorpus/queries.jsonl", "\n".join(map(json.dumps, queries)))
        for split, text in judgements.items():
            archive.writestr(f"nfcorpus/qrels/{split}.tsv", text)
