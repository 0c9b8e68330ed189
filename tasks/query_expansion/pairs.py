"""Data of the profile language_model: public pairs of a query and its expansion, and a language model to begin with.

public/   gpt2.safetensors    GPT-2, 124 million parameters, float32, under its published names
          pieces.json         its vocabulary: the bytes of each token in hex, by number; the end of text comes after
          train/pairs.jsonl   behind the gate: query, lex (key words), vec (questions), hyde (made-up passages)

The pairs are about everything under the sun and come from a language model (github.com/tobi/qmd). Judgements are those
of NFCorpus: the pairs' own measure of quality can be met by a fixed template and is not used.
"""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from fetch import Pinned, fetched
from words import plain, without_near

PROFILE = "language_model"

_QMD = "https://raw.githubusercontent.com/tobi/qmd/1d7d167b297bb135b08c30ff712b2f1234a72768/finetune/data/"
_GPT2 = "https://huggingface.co/openai-community/gpt2/resolve/607a30d783dfa663caf39e06633721c8d4cfcd7e/"
PAIRS = Pinned(
    "qmd_expansion_v3_structured.jsonl",
    f"{_QMD}qmd_expansion_v3_structured.jsonl",
    "3eb0d6c1c38dc977e3fecf32f8e11e429325afbbfe4616d22715e4609dd6dea0",
)
WEIGHTS = Pinned(  # 548 MB
    "gpt2.safetensors",
    f"{_GPT2}model.safetensors",
    "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
)
VOCABULARY = Pinned(
    "gpt2-vocab.json",
    f"{_GPT2}vocab.json",
    "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
)
MERGES = Pinned(
    "gpt2-merges.txt",
    f"{_GPT2}merges.txt",
    "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
)
NOTICE = """\
Pairs for training: https://github.com/tobi/qmd, finetune/data, MIT licence, Copyright (c) 2024-2026 Tobi Lutke.
Language model: GPT-2 (Radford et al., 2019), https://huggingface.co/openai-community/gpt2, MIT licence.
"""


def add(public: Path, held_out: Iterable[str]) -> dict[str, int]:
    """Write the three files; returns what was counted. No query of a pair is one of `held_out` or nearly one."""
    files = [fetched(file, PROFILE) for file in (PAIRS, VOCABULARY, MERGES, WEIGHTS)]
    rows = [json.loads(line) for line in files[0].read_text(encoding="utf-8").splitlines()]
    pairs = [pair(row) for row in rows if not from_template(row)]
    far = without_near((row["query"] for row in pairs), held_out)
    kept = [row for row in pairs if row["query"] in far]
    with (public / "train" / "pairs.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in kept)
    (public / "pieces.json").write_text(json.dumps(pieces(files[1], files[2])))
    shutil.copyfile(files[3], public / WEIGHTS.name)
    return {
        "pairs": len(kept),
        "template_pairs_dropped": len(rows) - len(pairs),
        "near_pairs_dropped": len(pairs) - len(kept),
    }


def pair(row: dict) -> dict[str, object]:
    lines = {kind: [text for name, text in row["output"] if name == kind] for kind in ("lex", "vec", "hyde")}
    return {"query": plain(row["query"]), **lines}


def from_template(row: dict) -> bool:
    """Whether key words were made by putting "overview" into the query, as those of 436 rows were."""
    added = {
        word for kind, text in row["output"] if kind == "lex" for word in re.findall(r"[a-z]+", text.lower())
    }
    return "overview" in added - set(plain(row["query"]).split())


def pieces(vocabulary: Path, merges: Path) -> list[str]:
    """The bytes of every token but the last, which ends a text."""
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(vocabulary), MERGES.sha256, VOCABULARY.sha256)
    assert sorted(ranks.values()) == [*range(len(ranks))]
    return [piece.hex() for piece in sorted(ranks, key=ranks.__getitem__)]
