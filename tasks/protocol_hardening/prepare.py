"""Variants of the protocol: each has some of the seeded defects. For the referee; no candidate sees this file.

public/train/variants.json    visible variants, of the six visible defects, to train on
private/val.json, test.json   hidden variants, each ten of fourteen hidden defects

val and test have no defect in common, and neither has one of the visible ones; which defect is where, and in which
variant, is drawn with the referee's secret.
"""

import hashlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from defects_hidden import PAIRS
from defects_visible import VISIBLE

HIDDEN_VARIANTS = 16
HIDDEN_DEFECTS = 10
HIDDEN_CALLS = 10_000
VISIBLE_VARIANTS = 6
VISIBLE_DEFECTS = 4
VISIBLE_CALLS = 3_000


def prepare(public: Path, private: Path, secret: bytes, profile: str = "cpu") -> None:
    (public / "train").mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)
    (public / "meta.json").write_text(json.dumps({"profile": profile}))
    visible = [defect.__name__ for defect in VISIBLE]
    training = drawn(b"train", visible, VISIBLE_VARIANTS, VISIBLE_DEFECTS, VISIBLE_CALLS)
    write(public / "train" / "variants.json", training)
    for name, numbers in pools(secret).items():
        variants = drawn(secret + name.encode(), numbers, HIDDEN_VARIANTS, HIDDEN_DEFECTS, HIDDEN_CALLS)
        write(private / f"{name}.json", variants)


def pools(secret: bytes) -> dict[str, list[int]]:
    """Of every pair of hidden defects one for each split, by their numbers in evaluate.DEFECTS."""
    coins = random.Random(hashlib.sha256(secret + b"pools").digest())
    found: dict[str, list[int]] = {"val": [], "test": []}
    for number in range(len(PAIRS)):
        first = len(VISIBLE) + 2 * number
        for name, chosen in zip(found, coins.sample([first, first + 1], 2), strict=True):
            found[name].append(chosen)
    return found


def write(path: Path, variants: list[dict]) -> None:
    path.write_text(json.dumps(variants, indent=1))


def reorder(train: Path, out: Path, seed: int) -> None:
    """The same variants in another order."""
    variants = json.loads((train / "variants.json").read_text())
    random.Random(seed).shuffle(variants)
    write(out / "variants.json", variants)


def drawn(key: bytes, names: list, variants: int, defects: int, calls: int) -> list[dict]:
    """Each defect occurs in about as many variants as any other, so that a mean over them is a fair one."""
    generator = random.Random(hashlib.sha256(key).digest())
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
