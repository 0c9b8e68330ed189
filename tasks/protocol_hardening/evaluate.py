"""Runs an attack against hidden variants of the protocol: how many of their ten defects does it get retired?

Runs in a process of the referee. The candidate proposes traces and sees what became of them; protocol, checker,
shrinking and root-causing are here.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from campaign import Campaign, checked
from defects_hidden import HIDDEN
from defects_visible import VISIBLE

MOST_TRACES = 20
MOST_MEMORY_BYTES = 4096
DEFECTS = {defect.__name__: defect for defect in (*VISIBLE, *HIDDEN)}


def evaluate(subject, private: Path, split: str) -> dict[str, float]:
    """subject.answers(list of feedback) gives {"traces", "memory"} for each. Raises ValueError for a bad answer."""
    variants = json.loads((private / f"{split}.json").read_text())
    attacks = [Attack(variant) for variant in variants]
    while running := [attack for attack in attacks if not attack.campaign.over]:
        answers = subject.answers([attack.feedback() for attack in running])
        for attack, answer in zip(running, answers, strict=True):
            attack.take(answer)
    campaigns = [attack.campaign for attack in attacks]
    found = [guilty for campaign in campaigns for _, guilty, _ in campaign.found]
    count = len(campaigns)
    return {
        "defects_retired": sum(map(len, found)) / count,
        "single": sum(len(guilty) == 1 for guilty in found) / count,
        "compound": sum(len(guilty) > 1 for guilty in found) / count,
        "accepted_share": sum(c.accepted for c in campaigns) / max(1, sum(c.made for c in campaigns)),
        "calls": sum(c.made for c in campaigns) / count,
    }


class Attack:
    """One campaign and what the candidate has been told about it."""

    def __init__(self, variant: dict) -> None:
        defects = [DEFECTS[name] for name in variant["defects"]]
        self.campaign = Campaign(defects, variant["calls"])
        self.seed, self.round = variant["seed"], 0
        self.results: list[str] = []
        self.memory: object = None

    def feedback(self) -> dict:
        found = [{"invariant": invariant, "trace": trace} for invariant, _, trace in self.campaign.found]
        told = {"round": self.round, "calls_left": self.campaign.calls_left, "results": self.results}
        return {"seed": self.seed, **told, "found": found, "memory": self.memory}

    def take(self, answer: object) -> None:
        if not isinstance(answer, dict) or not isinstance(answer.get("traces"), list):
            raise ValueError("an answer is {'traces': [...], 'memory': ...}")
        if not 1 <= len(answer["traces"]) <= MOST_TRACES:
            raise ValueError(f"an answer holds 1 to {MOST_TRACES} traces")
        memory = answer.get("memory")
        if len(json.dumps(memory)) > MOST_MEMORY_BYTES:
            raise ValueError(f"the memory takes more than {MOST_MEMORY_BYTES} bytes")
        traces = [checked(trace) for trace in answer["traces"]]
        self.results, self.memory = self.campaign.run(traces), memory
        self.round += 1
