"""Tunes how often each operation is used, on variants of the protocol whose defects may be seen. Edit this file too.

train.py --data DIR --out DIR --seed N --seconds S
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import defects_visible
from attack import PLAIN_WEIGHTS, propose
from campaign import Campaign

SPREAD = 0.8  # of the logarithms of the weights that are tried
RESERVE_SECONDS = 0.5  # not tuned: kept for writing the artefact


def found_by(weights: dict[str, float], variant: dict, seed: int) -> int:
    """How many defects of one visible variant these weights find; violations where none is seeded."""
    defects = [getattr(defects_visible, name) for name in variant["defects"]]
    campaign = Campaign(defects, variant["calls"])
    feedback = {"seed": seed, "round": 0, "results": [], "memory": None}
    while not campaign.over:
        answer = propose(feedback, weights)
        results = campaign.run(answer["traces"])
        memory = answer["memory"]
        feedback = {"seed": seed, "round": feedback["round"] + 1, "results": results, "memory": memory}
    return sum(len(guilty) or 1 for _, guilty, _ in campaign.found)


def tune(variants: list[dict], seed: int, seconds: float, claims: Path) -> dict[str, float]:
    """Weights at random around the plain ones, and the geometric mean of the best quarter of them."""
    generator = random.Random(seed)
    tried: list[tuple[int, dict[str, float]]] = []
    start, longest = time.process_time(), 0.0
    # Another try may take as long as the longest, or a little longer.
    while (begin := time.process_time()) - start + 1.5 * longest < seconds or not tried:
        logarithms = {name: max(-1.5, min(1.5, generator.gauss(0, SPREAD))) for name in PLAIN_WEIGHTS}
        weights = {name: math.exp(value) for name, value in logarithms.items()}
        found = sum(found_by(weights, variant, generator.getrandbits(32)) for variant in variants)
        tried.append((found, logarithms))
        with claims.open("a") as file:
            file.write(json.dumps({"tries": len(tried), "found": found}) + "\n")
        longest = max(longest, time.process_time() - begin)
    best = sorted(tried, key=lambda entry: -entry[0])[: max(1, len(tried) // 4)]
    return {
        name: math.exp(sum(logarithms[name] for _, logarithms in best) / len(best)) for name in PLAIN_WEIGHTS
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()

    from harness.gate import open_gate  # billing starts when it opens

    start = time.process_time()
    variants = json.loads(Path(open_gate(arguments.data)["variants.json"]).read_text())
    left = arguments.seconds - RESERVE_SECONDS - (time.process_time() - start)
    weights = tune(variants, arguments.seed, left, Path(arguments.out) / "claims.jsonl")
    Path(arguments.out, "attack.json").write_text(json.dumps({"weights": weights}))


if __name__ == "__main__":
    main()
