"""Runs an attack against hidden variants of the protocol: how many of their ten defects does it get retired?

Without seeded defects (a protocol of your own) it counts distinct violations instead.

Runs in a process of the referee. The candidate proposes traces and sees what became of them; protocol, checker,
shrinking and root-causing are here.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from campaign import MOST_TRACES, Campaign, checked, shape
from defects_hidden import HIDDEN
from defects_visible import VISIBLE

MOST_MEMORY_BYTES = 4096
DEFECTS = (*VISIBLE, *HIDDEN)


def evaluate(subject, private: Path, split: str) -> dict:
    """subject.answers(list of feedback) gives {"traces", "memory"} for each. Raises ValueError for a bad answer."""
    campaigns = campaigns_of(subject, private, split)
    retired = [
        sum(len(guilty) for _, guilty, _ in campaign.found) if DEFECTS else len(campaign.found)
        for campaign in campaigns
    ]
    return {**metrics(campaigns), "items": {"what": "variants", "values": retired}}


def campaigns_of(subject, private: Path, split: str) -> list[Campaign]:
    """Every variant of the split, attacked to the end of its calls."""
    variants = json.loads((private / f"{split}.json").read_text())
    attacks = [Attack(variant) for variant in variants]
    while running := [attack for attack in attacks if not attack.campaign.over]:
        answers = subject.answers([attack.feedback() for attack in running])
        for attack, answer in zip(running, answers, strict=True):
            attack.take(answer)
    return [attack.campaign for attack in attacks]


def metrics(campaigns: list[Campaign]) -> dict[str, float]:
    calls = sum(campaign.made for campaign in campaigns)
    return {
        **(defects_retired(campaigns) if DEFECTS else distinct_violations(campaigns)),
        "accepted_share": sum(campaign.accepted for campaign in campaigns) / max(1, calls),
        "calls": calls / len(campaigns),
    }


def defects_retired(campaigns: list[Campaign]) -> dict[str, float]:
    """Means over campaigns: defects, and the violations that took one defect or several together."""
    found = [guilty for campaign in campaigns for _, guilty, _ in campaign.found]
    return {
        "defects_retired": sum(map(len, found)) / len(campaigns),
        "single": sum(len(guilty) == 1 for guilty in found) / len(campaigns),
        "compound": sum(len(guilty) > 1 for guilty in found) / len(campaigns),
    }


def distinct_violations(campaigns: list[Campaign]) -> dict[str, float]:
    """Distinct (invariant, shape of the shrunk trace), mean over campaigns; written out for the record."""
    found = {shape(invariant, trace): trace for c in campaigns for invariant, _, trace in c.found}
    for (invariant, *_), trace in sorted(found.items()):
        print(invariant, json.dumps(trace), file=sys.stderr)
    return {"distinct_violations": sum(len(campaign.found) for campaign in campaigns) / len(campaigns)}


class Attack:
    """One campaign and what the candidate has been told about it."""

    def __init__(self, variant: dict) -> None:
        defects = [DEFECTS[number] for number in variant["defects"]]
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
