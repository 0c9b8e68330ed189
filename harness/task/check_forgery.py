"""Candidates that must not get a score: they claim one, leave garbage, or answer with it."""

import json
import struct

from harness.records import Files
from harness.task.task import Task

GARBAGE = {
    ".json": {"noise": bytes(range(256)), "empty": b"{}"},
    ".safetensors": {"noise": bytes(range(256)), "empty": struct.pack("<Q", 2) + b"{}"},
}
"""Suffix of the artefact -> name -> bytes. "empty" is well-formed and holds nothing."""

_FORGER = """
import argparse, json, os
parser = argparse.ArgumentParser()
for name in ("data", "out", "seed", "seconds"):
    parser.add_argument("--" + name)
out = parser.parse_args().out
from harness.gate import open_gate
open_gate(parser.parse_args().data)
score = {{"{metric}": {wish}, "val_{metric}": {wish}, "value": {wish}, "status": "scored"}}
print("---\\nval_{metric}: {wish}\\n" + json.dumps(score), flush=True)
for name in ("claims.jsonl", "score.json", "metrics.json", "results.tsv", "reward.txt"):
    open(os.path.join(out, name), "w").write(json.dumps(score) + "\\n")
open(os.path.join(out, "{artefact}"), "w").write(json.dumps(score))
"""
_SAYER = """
def load_predictor(artefact_path, data):
    return lambda items: [{said} for _ in items]
"""


def forger(task: Task) -> Files:
    """Says by every way that it can think of that its score is the best there is."""
    wish = "0.0" if task.direction == "minimize" else "1.0"
    text = _FORGER.format(metric=task.metric, wish=json.loads(wish), artefact=task.artefact)
    return {**task.source(), "train.py": text.encode()}


def sayer(task: Task, said: str) -> Files:
    """A predictor that answers every item with the same Python expression."""
    return {**task.source(), task.entry: _SAYER.format(said=said).encode()}
