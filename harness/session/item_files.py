"""Items of a sealed score, a file each beside the ledger: too many numbers for a row, which has their digest."""

import hashlib
import json
import os
from pathlib import Path

from harness.records import ItemScores

FOLDER = "items"


def write(folder: Path, trial_id: str, items: ItemScores) -> str:
    """items/<trial_id>.json below the session's folder, on the disk when this returns; its SHA-256."""
    content = json.dumps({"what": items.what, "values": items.values, "weights": items.weights}).encode()
    path = _path(folder, trial_id)
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return hashlib.sha256(content).hexdigest()


def read(folder: Path, trial_id: str, sha256: str) -> ItemScores | None:
    """None where there are none, or where the file is not the one that was written."""
    try:
        content = _path(folder, trial_id).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    found = json.loads(content)
    return ItemScores(found["what"], tuple(found["values"]), tuple(found["weights"]))


def _path(folder: Path, trial_id: str) -> Path:
    return folder / FOLDER / f"{trial_id}.json"
