"""A made-up session as ledger rows, for tests only: real sessions are tried in the end-to-end tests."""

import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.ledger.chain import FIRST_PREVIOUS, canonical, row_hash
from harness.ledger.rows import row_of
from harness.ledger.session_record import SessionRecord

Row = dict[str, Any]
_START = datetime(2026, 1, 5, 21, 0, tzinfo=UTC)
IDEAS = [
    ("Use squared ReLU in the feed-forward layers", "architecture"),
    ("Raise the matrix learning rate from 0.02 to 0.03", "hyperparameter"),
    ("Warm down over the last half instead of the last fifth", "schedule"),
    ("Tie the embedding and the output layer", "architecture"),
    ("Change the seed from 42 to 137", "seed"),
    ("Replace AdamW by Muon for the matrices", "optimiser"),
    ("Halve the batch and double the number of updates", "hyperparameter"),
    ("Remove the value embeddings: simpler, no loss expected", "simplification"),
]
PATCH = """diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -10,7 +10,7 @@ class Block(nn.Module):
     def forward(self, x):
-        x = F.relu(self.up(x))
+        x = F.relu(self.up(x)).square()
         return x + self.down(x)
"""


class Maker:
    """Writes rows as a session would. Times go by as the trials do."""

    def __init__(self, seed: int = 0, hostile: str = "", **started: Any) -> None:
        self.rows: list[Row] = []
        self._random = random.Random(seed)
        self._now = _START + timedelta(days=seed)
        self._hostile = hostile
        self._mean, self.sd = 1.95, 0.006
        self._counter = 0
        start = {
            "version": "0.1.0", "task": "nanochat", "agent": "replay", "metric": "bpb", "direction": "minimize",
            "unit": "bits per byte", "level": 3, "certified": True, "fingerprint": "f" * 64,
            "choices": {"task": "nanochat", "agent": "replay", "program": "default", "keep": "race", "budget": "cpu"},
            "config": {"repeat": 0, "budget": {"proposals": None, "hours": 8}, "keep": {"alpha": 0.05},
                       "agent": {"model": "m", "api_key": "sk-secret"}},
            "findings": {"network": True, "other processes": True}, "references": {"trigram": 1.435},
            "machine": {"cpu": "2 cores", "gpu": ""}, "baseline_commit": "b" * 40, "editable": ["train.py"],
            "program": "# Program\nBe bold.",
        }  # fmt: skip
        self.add("session_started", **{**start, **started})

    def add(self, kind: str, **values: Any) -> Row:
        row = {
            "seq": len(self.rows),
            "time": self._now.isoformat(timespec="milliseconds"),
            "kind": kind,
            **values,
        }
        self.rows.append(row)
        return row

    def wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def trial(self, role: str, mean: float, commit: str, proposal: int | None = None,
              outcome: str = "completed", split: str = "val", finish: bool = True) -> float | None:  # fmt: skip
        """One trial of the three rows; returns its score."""
        self._counter += 1
        trial_id = f"p{proposal:04d}-{self._counter}" if proposal else f"{role}-{self._counter}"
        common = {"trial_id": trial_id, "commit": commit, "role": role, "seed": self._random.getrandbits(31),
                  "proposal": proposal, "attempt": 1}  # fmt: skip
        self.add("trial_started", clock={"kind": "cpu", "seconds": 20, "startup_seconds": 60}, **common)
        if not finish:
            return None
        self.wait(22)
        self.add("trial_finished", **common, level=3, outcome=outcome,
                 reason="exit_1" if outcome == "crashed" else "", artefact="a", artefact_sha256="d" * 64,
                 startup_seconds=1.5, billed_seconds=20.0, wall_seconds=21.5, cpu_seconds=20.0,
                 peak_memory_bytes=900 << 20, claims={"loss": mean - 0.1, "steps": 300},
                 log=f"Traceback {self._hostile}")  # fmt: skip
        if outcome != "completed":
            return None
        value = self._random.gauss(mean, self.sd)
        self.add("scored", trial_id=trial_id, commit=commit, role=role, proposal=proposal, split=split,
                 status="scored", value=value, side={"nats": value * 2.5}, reason="", seconds=0.8)  # fmt: skip
        return value

    def baseline(self, count: int = 4) -> None:
        for _ in range(count):
            self.trial("baseline", self._mean, "b" * 40)

    def propose(self, number: int, finish: bool = True) -> None:
        """A whole proposal; what becomes of it is drawn."""
        about, category = IDEAS[(number - 1) % len(IDEAS)]
        commit = f"{number:040x}"
        self.add("proposal_asked", proposal=number)
        self.wait(3)
        usage = {"input_tokens": 4000, "output_tokens": 900, "requests": 1, "dollars": 0.03, "seconds": 3.0}
        self.add("proposed", proposal=number, commit=commit, parent="b" * 40, rationale=about + self._hostile,
                 hypothesis="Lower loss at the same speed" + self._hostile, files={"train.py": "e" * 64}, deleted=[],
                 links={}, usage=usage, state={}, problem="", patch=PATCH + self._hostile)  # fmt: skip
        if not finish:
            self.trial("candidate", self._mean, commit, number, finish=False)
            return
        outcome = {
            "proposal": number,
            "commit": commit,
            "category": category,
            "usage": usage,
            "complexity": 700,
        }
        if category == "seed":
            self.add("verdict", proposal=number, stage="static", trial_id=None, guard="seed_change",
                     judgement="reject", reason="seed.literal", message="only a seed changes" + self._hostile,
                     evidence={})  # fmt: skip
            self.add("decided", decision="discard", reason="seed.literal", message="only a seed changes",
                     score=None, incumbent_score=self._mean, statistics={}, gpu_seconds=0.0, **outcome)  # fmt: skip
            return
        self.add("verdict", proposal=number, stage="static", trial_id=None, guard="scope", judgement="accept",
                 reason="", message="", evidence={})  # fmt: skip
        if self._random.random() < 0.1:
            self.trial("candidate", self._mean, commit, number, outcome="crashed")
            self.add("decided", decision="discard", reason="crashed.exit_1", message="RuntimeError: shape", score=None,
                     incumbent_score=self._mean, statistics={}, gpu_seconds=21.5, **outcome)  # fmt: skip
            return
        effect = self._random.choice([0.03, 0.0, 0.0, -0.01, -0.02])
        keep = effect > 0.01
        scores = [
            self.trial("candidate", self._mean - effect, commit, number) for _ in range(3 if keep else 1)
        ]
        mean = sum(score or 0.0 for score in scores) / len(scores)
        statistics = {"z": effect / self.sd * 1.5, "sd": self.sd, "df": 8, "effect": effect}
        self.add("step", proposal=number, action="keep" if keep else "discard", reason="bound",
                 statistics=statistics)  # fmt: skip
        self.add("decided", decision="keep" if keep else "discard", reason="keep.bound" if keep else "keep.futility",
                 message="z 2.61 against 2.41 after 2 trials", score=mean, incumbent_score=self._mean,
                 statistics=statistics, gpu_seconds=21.5 * len(scores), **outcome)  # fmt: skip
        self._mean = self._mean - effect if keep else self._mean

    def end(self, gain: float | None = None, **certificate: Any) -> None:
        keeps = [row for row in self.rows if row["kind"] == "decided" and row["decision"] == "keep"]
        if keeps:
            head = [
                self.trial("certificate_head", self._mean, keeps[-1]["commit"], split="test")
                for _ in range(5)
            ]
            base = [self.trial("certificate_baseline", 1.95, "b" * 40, split="test") for _ in range(5)]
            found = sum(base) / 5 - sum(head) / 5 if gain is None else gain  # type: ignore[arg-type] # completed
            row = {"head_commit": keeps[-1]["commit"], "baseline_commit": "b" * 40, "split": "test",
                   "head_scores": head, "baseline_scores": base, "gain": found, "low": found - 0.009,
                   "high": found + 0.009, "p": 0.001, "df": 8, "claimed": 1.95 - self._mean + 0.005,
                   "passed": True, "certified": True, "confidence": 0.95}  # fmt: skip
            self.add("certificate", **{**row, **certificate})
        self.add("session_ended", reason="proposals", proposals=len(keeps), keeps=len(keeps), trials=self._counter,
                 busy_share=0.93)  # fmt: skip


def make_rows(
    proposals: int = 24, seed: int = 0, hostile: str = "", end: bool = True, **started: Any
) -> list[Row]:
    maker = Maker(seed, hostile, **started)
    maker.baseline()
    for number in range(1, proposals + 1):
        maker.propose(number)
    if end:
        maker.end()
    return maker.rows


def recorded(rows: Iterable[Row] = ()) -> SessionRecord:
    """Where a session with these rows stands."""
    return SessionRecord(row_of(row) for row in rows)


def write_session(folder: Path, rows: list[Row]) -> Path:
    """A session's folder with a chained ledger, as the real one but without waiting for the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    previous, lines = FIRST_PREVIOUS, []
    for place, row in enumerate(rows):
        chained = {**row, "seq": place, "previous": previous}
        previous = row_hash(chained)
        lines.append(canonical({**chained, "hash": previous}) + b"\n")
    (folder / "ledger.jsonl").write_bytes(b"".join(lines))
    return folder


def wait_until(is_so: Callable[[], object]) -> None:
    """Until it is so; fails after two minutes, as starting a process may take long on a busy machine."""
    end = time.monotonic() + 120
    while not is_so():
        if time.monotonic() > end:
            pytest.fail("it never came")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[Row]]:
    return make_rows


@pytest.fixture(scope="session")
def maker() -> type[Maker]:
    return Maker


@pytest.fixture
def session_folder(tmp_path: Path) -> Path:
    return write_session(tmp_path / "session", make_rows())


@pytest.fixture(scope="session")
def written() -> Callable[[Path, list[Row]], Path]:
    return write_session
