"""Draws the data: 8x8 pictures of the ten digits, distorted and noisy, with their labels.

Nothing is downloaded and nothing but numpy is needed. Training pictures come from a fixed seed; held-out ones are drawn
with the referee's secret, else a candidate could draw them, too.
public/   meta.json, train/images.npy uint8 [n, 64], train/labels.npy uint8 [n]
private/  {val,test}_images.npy and {val,test}_labels.npy of the same shapes
"""

import hashlib
import json
from pathlib import Path

import numpy as np

SIDE = 8
SIZES = {"train": 20000, "val": 2000, "test": 2000}
GLYPHS = {
    0: ".###. #...# #...# #...# #...# #...# .###.",
    1: "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    2: ".###. #...# ....# ...#. ..#.. .#... #####",
    3: ".###. #...# ....# ..##. ....# #...# .###.",
    4: "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    5: "##### #.... ####. ....# ....# #...# .###.",
    6: "..##. .#... #.... ####. #...# #...# .###.",
    7: "##### ....# ...#. ..#.. ..#.. .#... .#...",
    8: ".###. #...# #...# .###. #...# #...# .###.",
    9: ".###. #...# #...# .#### ....# ...#. .##..",
}


def glyphs() -> np.ndarray:
    """The undistorted digits, float [10, 7, 5] in 0..1."""
    rows = [[[float(mark == "#") for mark in row] for row in GLYPHS[digit].split()] for digit in range(10)]
    return np.array(rows)


def draw(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Pictures of the labels, uint8 [n, 64]: each turned, sheared, scaled, moved, faded and made noisy."""
    count = len(labels)
    turn = generator.normal(0, 0.2, count)
    shear = generator.normal(0, 0.2, count)
    scale = generator.uniform(0.8, 1.25, (2, count))
    move = generator.normal(0, 0.5, (2, count))
    # For every pixel of the picture the place in the glyph that it shows.
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].reshape(2, 1, -1) - (SIDE - 1) / 2
    rows, columns = rows - move[0][:, None], columns - move[1][:, None]
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    down = (cosine * rows - sine * columns) * scale[0][:, None] + 3
    right = (sine * rows + cosine * columns) * scale[1][:, None] + shear[:, None] * rows + 2
    ink = _sample(glyphs()[labels], down, right) * generator.uniform(0.5, 1.0, (count, 1))
    noisy = ink + generator.normal(0, 0.15, ink.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _sample(pictures: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Bilinear values of pictures [n, h, w] at places [n, p]; 0 outside."""
    padded = np.pad(pictures, ((0, 0), (1, 2), (1, 2)))
    down = np.clip(down + 1, 0, padded.shape[1] - 1.001)
    right = np.clip(right + 1, 0, padded.shape[2] - 1.001)
    top, left = down.astype(int), right.astype(int)
    a, b = down - top, right - left
    n = np.arange(len(pictures))[:, None]
    upper = padded[n, top, left] * (1 - b) + padded[n, top, left + 1] * b
    lower = padded[n, top + 1, left] * (1 - b) + padded[n, top + 1, left + 1] * b
    return upper * (1 - a) + lower * a


def prepare(public: Path, private: Path, secret: bytes) -> None:
    """Writes all three splits; the same bytes every time for the same secret."""
    (public / "train").mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        generator = np.random.default_rng(1 if split == "train" else seed_of(secret, split))
        labels = generator.integers(0, 10, size).astype(np.uint8)
        stem = f"{public}/train/" if split == "train" else f"{private}/{split}_"
        np.save(f"{stem}images.npy", draw(labels, generator))
        np.save(f"{stem}labels.npy", labels)
    meta = {"profile": "cpu", "classes": 10, "side": SIDE}
    (public / "meta.json").write_text(json.dumps(meta) + "\n", encoding="utf-8")


def seed_of(secret: bytes, split: str) -> int:
    """A stream of its own for each split: nothing of one says anything about another."""
    return int.from_bytes(hashlib.sha256(secret + split.encode()).digest())


def reorder(train: Path, out: Path, seed: int) -> None:
    """The same pictures with their labels in another order."""
    order = np.random.default_rng(seed).permutation(SIZES["train"])
    for name in ("images.npy", "labels.npy"):
        np.save(out / name, np.load(train / name, mmap_mode="r")[order])


def placebo(train: Path, out: Path, seed: int) -> None:
    """Training data of the same shape from which nothing can be learned: the labels are shuffled."""
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "images.npy", np.load(train / "images.npy"))
    np.save(out / "labels.npy", np.random.default_rng(seed).permutation(np.load(train / "labels.npy")))
