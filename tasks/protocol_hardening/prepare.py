"""Variants of the protocol: each has some of the seeded defects. For the referee; no candidate sees this file.

public/train/variants.json    visible variants, of the six visible defects, to train on
private/val.json, test.json   hidden variants, each ten of all eighteen defects
"""

import hashlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from defects_hidden import HIDDEN
from defects_visible import VISIBLE

HIDDEN_VARIANTS = 16
HIDDEN_DEFECTS = 10
HIDDEN_CALLS = 10_000
VISIBLE_VARIANTS = 6
VISIBLE_DEFECTS = 4
VISIBLE_CALLS = 3_000


def prepare(public: Path, private: Path, profile: str = "cpu") -> None:
    (public / "train").mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)
    (public / "meta.json").write_text(json.dumps({"profile": profile}))
    visible = [defect.__name__ for defect in VISIBLE]
    every = [*range(len(VISIBLE) + len(HIDDEN))]  # by number, see evaluate.DEFECTS: no word of it is public
    write(
        public / "train" / "variants.json",
        drawn("train", visible, VISIBLE_VARIANTS, VISIBLE_DEFECTS, VISIBLE_CALLS),
    )
    for split in ("val", "test"):
        write(private / f"{split}.json", drawn(split, every, HIDDEN_VARIANTS, HIDDEN_DEFECTS, HIDDEN_CALLS))


def write(path: Path, variants: list[dict]) -> None:
    path.write_text(json.dumps(variants, indent=1))


def drawn(split: str, names: list, variants: int, defects: int, calls: int) -> list[dict]:
    """Each defect occurs in about as many variants as any other, so that a mean over them is a fair one."""
    generator = random.Random(hashlib.sha256(split.encode()).digest())
    found, pile = [], []
    for number in range(variants):
        chosen: list = []
        while len(chosen) < min(defects, len(names)):
            if not any(name not in chosen for name in pile):
                pile += generator.sample(names, len(names))
            position = next(i for i, name in enumerate(pile) if name not in chosen)
            chosen.append(pile.pop(position))
        seed = generator.getrandbits(32)
        found.append({"defects": sorted(chosen), "calls": calls, "seed": seed, "number": number})
    return found
