"""What more slots are worth: the production loop, scheduler, prefetch and keep rule in a world that is only played.

    python scripts/simulate_slots.py gain [nights=20] [trials=96] [rules=race,stack]   by slots, in virtual time
    python scripts/simulate_slots.py load [slots=64] [trials=5000]   the harness's own CPU share and memory, trials made
    python scripts/simulate_slots.py rate [slots=4] [seconds=1.0]    trials an hour beside one slot, really sleeping
    python scripts/simulate_slots.py cards [nights=200] [card_sd=1.0]  false certified steps with cards that differ

A program is a file of 60 numbers; its loss is their sum, plus noise of sd 1 from a trial's seed. A proposal changes
one number by an effect as proposals have them (harness/keep/effect_prior.py), thought out in no time: the agent is
never what is waited for. gain, cards: a trial takes one unit of virtual time give or take a tenth, and a night lasts
`trials` of them. Gains are true ones, in sd, of the certified state at the end.
"""

# ruff: noqa: ARG002 -- stand-ins take what the real ones take
import contextlib
import hashlib
import math
import os
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.agents.prefetch import Prefetch
from harness.keep.promotion import Promotion
from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.ledger.rows import SessionStartedRow
from harness.ledger.session_record import SessionRecord, opened
from harness.ledger.workspace import Workspace
from harness.protocols import KeepRule, Stop
from harness.records import (
    Direction,
    Files,
    Level,
    Observation,
    Outcome,
    Proposal,
    Score,
    Split,
    TrialResult,
    TrialSpec,
    View,
)
from harness.session.forecast import Forecast
from harness.session.intake import Intake
from harness.session.limits import SessionLimits
from harness.session.referee import Referee
from harness.session.session import Session
from harness.session.trial_runner import TrialRunner
from harness.slots.local_slots import LocalSlots
from harness.slots.order import Elsewhere, Measured, Order
from harness.slots.slot import Slot
from harness.task.budget import Budget
from harness.task.task import Profile, Task, TaskData
from harness.trial.machine_probe import Unwatched

NUMBERS = 60
RULES: dict[str, Callable[[], KeepRule]] = {"race": Race, "stack": Stack}


def true_loss(source: Files) -> float:
    return math.fsum(float(line.split(b"=")[1]) for line in source["train.py"].splitlines() if b"=" in line)


def noise(seed: int) -> float:
    return random.Random(seed).gauss(0.0, 1.0)


@dataclass
class Proposing:
    """Draws the effects of a night; the n-th proposal has the same one whatever came before. null: none helps."""

    night: int
    null: bool = False
    ahead: int = 1

    def propose(self, view: View) -> Proposal | None:
        draw = random.Random(f"{self.night}/{view.number}")
        lines = view.editable["train.py"].split(b"\n")
        place = 2 * draw.randrange(NUMBERS)
        value = float(lines[place].split(b"=")[1]) - (0.0 if self.null else self._gain(draw))
        if self.null:
            lines[place] += b" "  # another text, the same program
        else:
            lines[place] = b"p%d = %.6f" % (place, value)
        return Proposal({"train.py": b"\n".join(lines)}, f"change {place} ({view.number})")

    def _gain(self, draw: random.Random) -> float:
        side = draw.random()
        if side < 0.25:
            return draw.expovariate(1 / (3.6 if draw.random() < 0.15 else 0.6))
        return 0.0 if side < 0.55 else -draw.expovariate(1 / (8.0 if draw.random() < 0.2 else 2.0))


class Inline:
    """In the place of the thread in which an agent thinks."""

    def submit(self, think: Callable[[], Proposal | None]) -> Any:
        from concurrent.futures import Future

        future: Future[Proposal | None] = Future()
        future.set_result(think())
        return future


@dataclass
class MemoryLedger:
    """Rows as the real one gives them, with the virtual clock for a time."""

    now: Callable[[], float]
    length: int = 0
    failed: bool = False

    def append(self, kind: str, **values: Any) -> dict[str, Any]:
        row = {"seq": self.length, "sitting_seconds": self.now(), "kind": kind, **values}
        self.length += 1
        return row


@dataclass
class MemoryWorkspace:
    known: dict[str, Files] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def propose(self, number: int, parent: str, changed: Files, deleted: Sequence[str], message: str) -> str:
        commit = f"{number:040d}"
        self.known[commit] = {**self.known[parent], **changed}
        return commit

    def files(self, commit: str) -> Files:
        return self.known[commit]

    def patch(self, parent: str, commit: str) -> str:
        return ""

    def same_tree(self, one: str, other: str) -> bool:
        return self.known[one] == self.known[other]

    def commits(self) -> list[str]:
        return self.made

    def keep(self, candidate: str, message: str, trailers: Mapping[str, str]) -> None:
        self.made.append(candidate)

    def roll_back(self, race: int, head: str, message: str, trailers: Mapping[str, str]) -> None:
        self.made.append(head)


class Untouched(TrialRunner):
    """Nobody here could change a protected file."""

    def protected(self) -> dict[str, str]:  # type: ignore[override]
        return {}


@dataclass
class VirtualSlots:
    """Trials that take virtual time. offsets: what each place adds to a score. paired: see LocalSlots."""

    count: int
    seconds: float = 1.0
    offsets: Sequence[float] = ()
    paired: bool = False
    elsewhere: bool = False
    now: float = 0.0
    made: int = 0
    _ends: dict[str, tuple[float, Order, int]] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _cancelled: list[Order] = field(default_factory=list)

    def _place_for(self, order: Order) -> int | None:
        busy = {place for _, _, place in self._ends.values()}
        if self.paired and order.pair in self._places:
            return None if self._places[order.pair] in busy else self._places[order.pair]
        return next((place for place in range(self.count) if place not in busy), None)

    def open_to(self, order: Order) -> bool:
        return self._place_for(order) is not None

    def start(self, order: Order) -> None:
        place = self._place_for(order)
        assert place is not None
        if order.pair:
            self._places[order.pair] = place
        took = self.seconds * random.Random(order.spec.seed).uniform(0.9, 1.1)
        self._ends[order.id] = (self.now + took, order, place)

    def cancel(self, order_id: str) -> None:
        self._cancelled.append(self._ends.pop(order_id)[1])

    def finished(self, timeout_seconds: float) -> list[Measured]:
        gone, self._cancelled = self._cancelled, []
        if gone:
            failed = (TrialResult(each.id, Outcome.INFRA_FAILED, "not_wanted") for each in gone)
            return [Measured(result.trial_id, result) for result in failed]
        if not timeout_seconds or not self._ends:
            return []
        name = min(self._ends, key=lambda each: self._ends[each][0])
        self.now, order, place = self._ends.pop(name)
        self.made += 1
        value = true_loss(order.source) + noise(order.spec.seed)
        value += self.offsets[place] if self.offsets else 0.0
        result = TrialResult(
            name, Outcome.COMPLETED, "exit_0", wall_seconds=self.seconds, billed_seconds=self.seconds
        )
        return [Measured(name, result, (Score("scored", value),))]

    def find_again(self, order_id: str) -> bool:
        return False

    def notices(self) -> Sequence[str]:
        return ()

    def close(self) -> None: ...


def task_in(folder: Path) -> Task:
    for name in ("task.yaml", "prepare.py", "evaluate.py", "program.md"):
        (folder / name).write_text(f"# {name}\n")
    lines = (f"p{2 * number} = 0.0\n" for number in range(NUMBERS))
    (folder / "train.py").write_text("\n".join(lines))
    profile = Profile(seconds=1.0, steps=1)
    return Task(
        str(folder), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": profile}, artefact="model.json"
    )


@dataclass
class Played:
    """One night's session; after `run` its record is in `state`."""

    task: Task
    agent: Proposing
    keep: KeepRule
    slots: Any
    budget: Budget
    folder: Path
    on_disk: bool = False

    def run(self) -> SessionRecord:
        profile = self.task.profiles["cpu"]
        if self.on_disk:
            ledger, state = opened(self.folder)
            workspace: Any = Workspace(self.folder, "played")
            baseline = workspace.start(self.task.source())
        else:
            ledger, state = MemoryLedger(lambda: self.slots.now), SessionRecord()  # type: ignore[assignment]
            baseline = "0" * 40
            workspace = MemoryWorkspace({baseline: self.task.source()})
        runner = (TrialRunner if self.on_disk else Untouched)(
            self.task, TaskData(self.folder, self.folder), profile, self.folder, ledger, state, (), Elsewhere(),
            Elsewhere(), hashlib.sha256(f"{self.agent.night}".encode()).digest(), pause_seconds=0.0,
        )  # fmt: skip
        runner.make_side_by_side(self.slots)
        runner.record(SessionStartedRow(baseline_commit=baseline, level=Level.L3))
        proposer = Prefetch(self.agent, slots=max(2, self.slots.count))
        if not self.on_disk:
            proposer._thread = Inline()  # type: ignore[assignment]
        limits = SessionLimits(self.budget, profile, self.keep.settling_trials)
        intake = Intake(runner, workspace, proposer, limits, "")
        referee = Referee(runner, intake, (), self.keep, limits, Promotion(same_seed=False))
        assert runner.side_by_side is not None
        runner.side_by_side.forecast = Forecast(referee, proposer)
        Session(runner, workspace, intake, referee, limits).run()
        self.files_of = intake.files_of
        return state


def gain(nights: int = 20, trials: int = 96, rules: str = "race,stack", most: int = 16) -> None:
    print("rule   slots  true gain (sd)  s.e.  proposals an hour  used of made  gain/hour beside one slot")
    for name, rule in ((name, RULES[name]) for name in rules.split(",")):
        alone = 0.0
        for slots in (count for count in (1, 2, 4, 8, 16) if count <= most):
            found, proposals, used = [], [], []
            for night in range(nights):
                with folder() as place:
                    virtual = VirtualSlots(slots, seconds=300.0)
                    hours = trials * 300.0 / 3600.0
                    played = Played(
                        task_in(place),
                        Proposing(night),
                        rule(),
                        virtual,
                        Budget(hours=hours, certificate=0),
                        place,
                    )
                    state = played.run()
                    found.append(-true_loss(played.files_of(state.incumbent)))
                    proposals.append(len(state.decided) / (virtual.now / 3600.0))
                    used.append(state.finished_trials / max(1, virtual.made))
            mean, error = statistics.fmean(found), statistics.stdev(found) / math.sqrt(nights)
            alone = alone or mean
            print(
                f"{name:6} {slots:5}  {mean:14.2f}  {error:4.2f}  {statistics.fmean(proposals):17.1f}  "
                f"{statistics.fmean(used):12.2f}  {mean / alone if alone else 0:25.2f}",
                flush=True,
            )


def cards(nights: int = 200, trials: int = 200, card_sd: float = 1.0, slots: int = 4) -> None:
    """Nights in which nothing helps, on cards whose offsets are drawn with card_sd (in sd of one trial)."""
    print(
        f"{nights} nights without an effect, {slots} cards that differ by sd {card_sd}, {trials} trials a night"
    )
    for name, rule in RULES.items():
        for paired in (True, False):
            wrong = steps = 0
            for night in range(nights):
                draw = random.Random(f"cards {night}")
                with folder() as place:
                    offsets = [draw.gauss(0.0, card_sd) for _ in range(slots)]
                    virtual = VirtualSlots(slots, offsets=offsets, paired=paired)
                    budget = Budget(trials=trials, certificate=0)
                    state = Played(
                        task_in(place), Proposing(night, null=True), rule(), virtual, budget, place
                    ).run()
                kept = list(state.certified_steps) or [each for each in state.keeps if each.level == "keep"]
                wrong += bool(kept)
                steps += len(kept)
            how = "compared within a card" if paired else "wherever there is room"
            print(
                f"{name:6} {how:24} nights with a false final keep: {wrong / nights:.3f}, "
                f"keeps a night {steps / nights:.3f}",
                flush=True,
            )


@dataclass
class Sleeping:
    """Executor and evaluator of places that really sleep."""

    seconds: float
    folder: Path

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        time.sleep(self.seconds)
        return TrialResult(
            spec.trial_id, Outcome.COMPLETED, "exit_0", wall_seconds=self.seconds, billed_seconds=self.seconds
        )

    def score(
        self, result: TrialResult, source: Files, split: Split, baseline: Sequence[Observation] = ()
    ) -> Score:
        value = true_loss(source) + noise(
            int(hashlib.sha256(result.trial_id.partition("@")[0].encode()).hexdigest()[:8], 16)
        )
        return Score("scored", value)


class CountingSlots(LocalSlots):
    """started: how many trials, those that nobody will use among them."""

    started = 0

    def start(self, order: Order) -> None:
        self.started += 1
        super().start(order)


@dataclass
class Stopping(Proposing):
    """Has no more proposals once so many trials were started."""

    slots: CountingSlots | None = None
    most: int = 0

    def propose(self, view: View) -> Proposal | None:
        assert self.slots is not None
        return super().propose(view) if self.slots.started < self.most else None


def sleeping(
    slots: int, seconds: float, place: Path, used: int | None = None, made: int | None = None
) -> tuple[float, SessionRecord]:
    """Seconds that a session took, and its record. It ends with so many trials used, or so many made."""
    machine = Sleeping(seconds, place)
    places = CountingSlots(
        [(f"slot {n}", lambda: Slot("slot", machine, machine, Unwatched())) for n in range(slots)]
    )
    agent = Proposing(0) if made is None else Stopping(0, slots=places, most=made)
    budget = Budget(trials=used, certificate=0)
    begin = time.monotonic()
    state = Played(task_in(place), agent, Race(), places, budget, place, on_disk=True).run()
    took = time.monotonic() - begin
    places.close()
    return took, state


def load(slots: int = 64, trials: int = 5000, seconds: float = 8.0) -> None:
    before = os.times()
    with folder() as place:
        took, state = sleeping(slots, seconds, place, made=trials)
        after = os.times()
        size = (place / "ledger.jsonl").stat().st_size / (1 << 20)
    made = state.ahead.count
    own = (after.user - before.user) + (after.system - before.system)
    git = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{slots} slots, {made} trials of {seconds:g} s made, {state.finished_trials} used, {took:.0f} s")
    print(
        f"own CPU {own:.1f} s ({1000 * own / made:.1f} ms a trial made, {own / took:.1%} of a core), git {git:.1f} s"
    )
    print(
        f"peak memory {peak:.0f} MiB, ledger {size:.1f} MiB; slots busy {made * seconds / took / slots:.0%}"
    )


def rate(slots: int = 4, seconds: float = 1.0, trials: int = 60) -> None:
    """Side by side in one call: the same session with one slot and with several."""
    found: dict[int, float] = {}
    made: dict[int, float] = {}

    def one(count: int) -> None:
        with folder() as place:
            took, state = sleeping(count, seconds, place, used=trials)
            found[count], made[count] = state.finished_trials / took * 3600, state.ahead.count / took * 3600
            print(
                f"{count} slots: {state.finished_trials} trials used of {state.ahead.count} made, {took:.0f} s, "
                f"{found[count]:.0f} an hour"
            )

    threads = [threading.Thread(target=one, args=(count,)) for count in (1, slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{made[slots] / made[1]:.2f} times as many made, {found[slots] / found[1]:.2f} times as many used")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main(arguments: list[str]) -> None:
    commands: dict[str, Callable[..., None]] = {"gain": gain, "load": load, "rate": rate, "cards": cards}
    if not arguments or arguments[0] not in commands:
        raise SystemExit(__doc__)
    given = dict(argument.split("=") for argument in arguments[1:])
    commands[arguments[0]](**{name: _value(text) for name, text in given.items()})


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
