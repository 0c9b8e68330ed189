"""A session with real git, ledger, guards' seam and statistics; only training and scoring are played."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.keep.early_stop import EarlyStop
from harness.keep.promotion import Promotion
from harness.keep.race import Race
from harness.ledger.chain import Ledger
from harness.ledger.rows import Row, SessionResumedRow, SessionStartedRow
from harness.ledger.session_record import SessionRecord, opened
from harness.ledger.tracker import Tracker
from harness.ledger.workspace import Workspace
from harness.protocols import Guards, KeepRule, Stop
from harness.records import (
    Direction,
    Evidence,
    Files,
    Judgement,
    Level,
    Observation,
    Outcome,
    Proposal,
    Role,
    Score,
    Split,
    TrialResult,
    TrialSpec,
    Usage,
    Verdict,
    View,
)
from harness.session.forecast import Forecast
from harness.session.intake import Intake
from harness.session.limits import SessionLimits
from harness.session.referee import Referee
from harness.session.session import Session
from harness.session.trial_runner import TrialRunner
from harness.slots.local_slots import LocalSlots
from harness.slots.order import Slots
from harness.slots.slot import Slot
from harness.task.budget import Budget
from harness.task.task import Profile, Task, TaskData
from harness.trial.machine_probe import MachineProbe, Unwatched


class Killed(BaseException):
    """Plays kill -9: nothing of ours may catch it."""


def noise_of(seed: int) -> float:
    """A number in -1..1 that the seed decides."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4]) / 2**31 - 1


@dataclass
class Machine:
    """Trains by reading `loss = X` from train.py; scores it with a little noise from the seed.

    A program with the word "slow" in it takes five times as long, and one with "large" asks for so much to answer.

    On shuffled data nothing is learnt, unless the program has the word "known" in it. A program with the word "lucky"
    looks better by .2 while it is a candidate, and never again.
    """

    folder: Path
    runs: list[TrialSpec] = field(default_factory=list)
    scored: list[tuple[str, Split]] = field(default_factory=list)
    references: list[list[str]] = field(default_factory=list)
    fail_next: int = 0
    crash_role: Role | None = None
    begun_ahead: list[TrialSpec] = field(default_factory=list)
    noise: Callable[[int], float] = noise_of

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        self.runs.append(spec)
        if stop and stop(0.5, {"loss": 9.0}):
            return TrialResult(spec.trial_id, Outcome.TIMED_OUT, "hopeless")
        text = source["train.py"].decode()
        if self.fail_next:
            self.fail_next -= 1
            return TrialResult(spec.trial_id, Outcome.INFRA_FAILED, "no_space")
        if "crash" in text or spec.role is self.crash_role:
            log, billed = "Traceback\nValueError: bad shape", 5.0 if "slow" in text else 0.0
            return TrialResult(spec.trial_id, Outcome.CRASHED, "exit_1", log=log, billed_seconds=billed)
        shuffled = spec.role is Role.PLACEBO and "known" not in text
        value = (3.0 if shuffled else float(text.split("loss =")[1].split()[0])) + 0.01 * self.noise(spec.seed)
        if "lucky" in text and spec.role is Role.CANDIDATE:
            value -= 0.2
        file = self.folder / "artefacts" / spec.trial_id
        file.parent.mkdir(exist_ok=True)
        file.write_text(str(value))
        return TrialResult(
            spec.trial_id,
            Outcome.COMPLETED,
            "exit_0",
            artefact=f"artefacts/{spec.trial_id}",
            artefact_sha256=hashlib.sha256(str(value).encode()).hexdigest(),
            billed_seconds=5.0 if "slow" in text else 1.0,
            wall_seconds=1.0,
            claims={"loss": value, "curve": [5.0, 2.0, value], "step": 100},
        )

    def score(
        self, result: TrialResult, source: Files, split: Split, baseline: Sequence[Observation] = ()
    ) -> Score:
        self.scored.append((result.trial_id, split))
        assert "train.py" in source
        seconds = 5.3 if "large" in source["train.py"].decode() else 1.0
        side = {
            "inference.load_seconds": 0.1,
            "inference.answer_seconds": seconds,
            "inference.questions": 50.0,
        }
        self.references.append([seen.trial_id for seen in baseline])
        return Score("scored", float((self.folder / result.artefact).read_text()), side)

    def start_ahead(self, spec: TrialSpec, source: Files) -> None:
        """Where a session is given it: beside the score of the trial that ran last."""
        assert source
        self.begun_ahead.append(spec)

    def close(self) -> None: ...


@dataclass
class Script:
    """An agent that proposes the given texts of train.py, in order; stateless like a real one."""

    texts: Sequence[str | Proposal]
    views: list[View] = field(default_factory=list)
    prepared: list[View] = field(default_factory=list)
    thinks_ahead: bool = True

    def next(self, view: View) -> Proposal | None:
        self.views.append(view)
        if view.number > len(self.texts):
            return None
        text = self.texts[view.number - 1]
        usage = Usage(input_tokens=10, output_tokens=5, dollars=0.5)
        if isinstance(text, Proposal):
            return text
        return Proposal({"train.py": text.encode()}, rationale=text.splitlines()[0], usage=usage)

    def prepare(self, view: View) -> None:
        self.prepared.append(view)

    def ready(self, _: Files) -> list[tuple[int, Proposal]]:
        """All that were not handed out yet."""
        done = len(self.views)
        texts = enumerate(self.texts[done:], done + 1)
        return [
            (number, text if isinstance(text, Proposal) else Proposal({"train.py": text.encode()}, ""))
            for number, text in texts
        ]

    def close(self) -> None: ...


@dataclass
class Recorder:
    """A tracker that stops the world when a certain row has been written."""

    stop_after: int | None = None
    seen: list[Row] = field(default_factory=list)

    def open(self, folder: Path, session: SessionRecord) -> None: ...

    def record(self, row: Row) -> None:
        self.seen.append(row)
        if row.seq == self.stop_after:
            raise Killed

    def close(self) -> None: ...


@dataclass(frozen=True)
class Forbids:
    """A guard: rejects a candidate with a certain word; `fails` makes it crash, `disturbed` inconclusive."""

    word: str = "forbidden"
    name: str = "words"
    stages: tuple[str, ...] = ("static",)
    fails: bool = False
    inconclusive: bool = False

    def __call__(self, evidence: object) -> Verdict:
        text = evidence.candidate["train.py"].decode()  # type: ignore[attr-defined]
        if self.word not in text:
            return Verdict("?", Judgement.ACCEPT, evidence={"category": "hyperparameter"})
        if self.fails:
            raise RuntimeError("no such key")
        judgement = Judgement.INCONCLUSIVE if self.inconclusive else Judgement.REJECT
        return Verdict("?", judgement, "words.forbidden", f"it says {self.word}")


@dataclass(frozen=True)
class Lacks:
    """A guard that can say nothing before it has seen so many trials of the candidate."""

    trials: int
    name: str = "lacking"
    stages: tuple[str, ...] = ("static", "promotion")

    def __call__(self, evidence: Evidence) -> Verdict:
        if len(evidence.candidate_trials) >= self.trials:
            return Verdict("?", Judgement.ACCEPT)
        needed = {"trials_needed": self.trials}
        return Verdict("?", Judgement.INCONCLUSIVE, "lacking.trials", "too few trials", needed)


@dataclass
class World:
    """Everything of one session folder, opened anew by `open`."""

    folder: Path
    task: Task
    script: Script
    guards: Guards = (Forbids(),)
    budget: Budget = field(default_factory=Budget)
    promotion: Promotion = field(default_factory=Promotion)
    early_stop: EarlyStop = field(default_factory=EarlyStop)
    machine_probe: MachineProbe = field(default_factory=Unwatched)
    keep: KeepRule = field(default_factory=Race)
    slots: int = 1
    starts_ahead: bool = False
    ended_in_order: bool = False
    ledger: Ledger | None = None
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Machine(self.folder)

    def session(self, *trackers: Tracker) -> Session:
        profile = self.task.profiles["cpu"]
        ledger, record = opened(self.folder)
        self.ledger = ledger
        workspace = Workspace(self.folder, "test")
        data = TaskData(self.task.path / "public", self.task.path / "private")
        trial_runner = TrialRunner(
            self.task,
            data,
            profile,
            self.folder,
            ledger,
            record,
            trackers,
            self.machine,
            self.machine,
            b"secret" * 6,
            pause_seconds=0.0,
            machine_probe=self.machine_probe,
            start_ahead=self.machine.start_ahead if self.starts_ahead else None,
        )
        limits = SessionLimits(self.budget, profile, self.keep.settling_trials)
        if self.slots > 1:
            trial_runner.make_side_by_side(self.made_slots())
        if not ledger.length:
            baseline = workspace.start(self.task.source())
            trial_runner.record(SessionStartedRow(baseline_commit=baseline, level=Level.L3))
        else:
            trial_runner.record(SessionResumedRow(level=Level.L3, interrupted=[*record.under_way]))
            trial_runner.settle(workspace.files, self.ended_in_order)
        intake = Intake(trial_runner, workspace, self.script, limits, "# Program")
        referee = Referee(trial_runner, intake, self.guards, self.keep, limits, self.promotion)
        referee.stop_for = self.early_stop.stop_for
        if trial_runner.side_by_side:
            trial_runner.side_by_side.forecast = Forecast(referee, self.script)
        else:
            trial_runner.foresee = Forecast(referee, self.script).sure
        session = Session(trial_runner, workspace, intake, referee, limits)
        session.synchronise()
        return session

    def made_slots(self) -> Slots:
        return LocalSlots([(f"place {number}", self._place) for number in range(self.slots)])

    def _place(self) -> Slot:
        return Slot("place", self.machine, self.machine, Unwatched())


@pytest.fixture(autouse=True)
def no_wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here: hundreds of rows a test are as good in the kernel's memory."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    folder = tmp_path / "task"
    folder.mkdir()
    for name in ("task.yaml", "prepare.py", "evaluate.py", "program.md"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "train.py").write_text("loss = 1.0\n")
    return Task(
        folder=str(folder),
        metric="loss",
        direction=Direction.MINIMIZE,
        editable=("train.py",),
        profiles={"cpu": Profile(seconds=1.0)},
        artefact="model.json",
        determinism="none",
    )


@pytest.fixture
def world(tmp_path: Path, task: Task) -> Callable[..., World]:
    """world(texts, ...) makes one in a fresh folder."""
    count = 0

    def make(texts: Sequence[str | Proposal], **changes: object) -> World:
        nonlocal count
        count += 1
        folder = tmp_path / f"session-{count}"
        folder.mkdir()
        return World(folder, task, Script(texts), **changes)  # type: ignore[arg-type] # tests pass what it takes

    return make
