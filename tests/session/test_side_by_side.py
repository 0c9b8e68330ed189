"""Several trials under way at once: the same decisions as one after the other, each trial once, whatever happens."""

import contextlib
import io
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError
from harness.keep.race import Race
from harness.keep.stack import Stack
from harness.ledger import chain
from harness.ledger.ahead import MARK
from harness.ledger.session_record import SessionRecord
from harness.protocols import KeepRule, Stop
from harness.records import Files, Outcome, TrialResult, TrialSpec
from harness.report.terminal.view import live_view
from harness.report.wandb.rows import metrics_of
from harness.slots.local_slots import LocalSlots
from harness.slots.order import Measured, Slots
from harness.slots.slot import Slot
from harness.slots.this_machine import shared_out
from harness.trial.machine_probe import Unwatched
from tests.session.conftest import Killed, Machine, Recorder, World

Make = Callable[..., World]
SERIES = (
    "loss = 1.5\n# worse", "loss = 0.9\n# better", "loss = 1.01\n# hardly worse", "crash\nloss = 0.1",
    "loss = 0.995\n# a bit", "forbidden\nloss = 0.2", "loss = 0.7\n# much better", "loss = 0.71\n# no change",
    "loss = 0.7\n# none at all",
)  # fmt: skip
SHORT = SERIES[1:4]


@dataclass
class Uneven(Machine):
    """Trials take very different times, so that they end in another order than they began."""

    at_once: int = 0
    most_at_once: int = field(default=0)

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(random.Random(spec.trial_id).uniform(0.0, 0.01))
        try:
            return super().run(spec, source, stop)
        finally:
            self.at_once -= 1


def evidence_of(world: World) -> list[tuple[object, ...]]:
    """What was decided, and on which trials, in which order."""
    state = world.session().trial_runner.state
    decided = [
        (each.number, each.ruling.decision, each.reason, each.ruling.statistics) for each in state.decided
    ]
    trials = [(trial.trial_id, trial.role, trial.seed, trial.value) for trial in state.trials]
    settled = [(row.action, row.keeps, row.head_scores, row.certified_scores) for row in state.settlements]
    return [
        *decided,
        *trials,
        *settled,
        *((row.head_scores, row.baseline_scores) for row in state.certificates),
    ]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return chain.read(folder)


def assert_each_trial_once(folder: Path) -> None:
    """No id is used twice, and no program is measured twice at one seed for one later id, unless it was interrupted."""
    chain.check(folder)
    rows = rows_of(folder)
    for kind in ("trial_started", "trial_finished", "trial_taken"):
        ids = [row.get("ahead") or row["trial_id"] for row in rows if row["kind"] == kind]
        assert len(ids) == len(set(ids)), kind
    taken = [row["trial_id"] for row in rows if row["kind"] == "trial_taken"]
    assert len(taken) == len(set(taken))
    programs = {row["trial_id"]: row["source_sha256"] for row in rows if row["kind"] == "trial_started"}
    measured = Counter(
        (row["trial_id"].partition(MARK)[0], programs[row["trial_id"]], row["proposal"])
        for row in rows
        if row["kind"] == "trial_finished" and row["outcome"] != "infra_failed"
    )
    assert not [each for each, count in measured.items() if count > 1]


@pytest.mark.parametrize("keep", [Race(), Stack(provisional_keeps=2)], ids=["race", "stack"])
@pytest.mark.parametrize("slots", [2, pytest.param(4, marks=pytest.mark.slow), 16])
def test_decisions_are_those_of_one_slot(keep: KeepRule, slots: int, world: Make) -> None:
    """The same proposals, seeds, scores and decisions to the last bit, though trials end in any order."""
    one, several = world(SERIES, keep=keep), world(SERIES, keep=keep, slots=slots)
    several.machine = Uneven(several.folder)
    one.session().run()
    several.session().run()
    assert evidence_of(one) == evidence_of(several)
    assert several.machine.most_at_once > 1
    assert_each_trial_once(several.folder)


def test_one_slot_writes_the_rows_that_it_always_wrote(world: Make) -> None:
    made = world(SHORT)
    tracker = Recorder()
    made.session(tracker).run()
    assert not [
        row for row in tracker.seen if row.kind == "trial_taken" or MARK in str(getattr(row, "trial_id", ""))
    ]


@pytest.mark.parametrize(
    ("first", "step"), [(9, 23), *(pytest.param(n, 4, marks=pytest.mark.slow) for n in range(3, 7))]
)
def test_a_session_killed_after_a_row_goes_on_to_the_same_decisions(
    first: int, step: int, world: Make
) -> None:
    """Here and there (after every row with the slow tests); nothing measured is lost or measured again."""
    whole = world(SHORT, slots=3)
    tracker = Recorder()
    whole.session(tracker).run()
    expected = evidence_of(whole)
    for row in range(first, len(tracker.seen) - 1, step):
        made = world(SHORT, slots=3)
        with contextlib.suppress(Killed):
            made.session(Recorder(row)).run()
        made.session().run()
        assert evidence_of(made) == expected, row
        assert_each_trial_once(made.folder)


@dataclass
class Deadly(Machine):
    """A candidate that takes the harness with it, whatever runs beside it; `most` times."""

    kills: int = 0
    most: int = 1_000

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        if b"deadly" in source["train.py"] and self.kills < self.most:
            self.kills += 1
            raise Fell
        time.sleep(0.003)
        return super().run(spec, source, stop)


class Fell(Exception):
    """What a thread says that would have ended the harness; it becomes Killed where the session collects it."""


class Falling(LocalSlots):
    def finished(self, timeout_seconds: float) -> list[Measured]:
        try:
            return super().finished(timeout_seconds)
        except Fell:
            raise Killed from None


def test_who_runs_beside_a_deadly_candidate_is_not_blamed(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness dies twice with the same candidate: its crash. Those that ran beside it the first time were alone
    the second time, and are measured and judged as ever."""
    texts = ["loss = 1.2\n# one", "deadly\nloss = 0.1", "loss = 0.8\n# two", "loss = 1.3\n# three"]
    made = world(texts, slots=3)
    made.machine = Deadly(made.folder)

    monkeypatch.setattr(World, "made_slots", lambda self: Falling([("p", self._place) for _ in range(3)]))
    for _ in range(6):
        try:
            made.session().run()
            break
        except Killed:
            continue
    state = made.session().trial_runner.state
    reasons = [proposal.reason for proposal in state.decided]
    assert reasons[1] == "crashed.interrupted_twice"
    assert [str(proposal.decision) for proposal in state.decided] == ["discard", "discard", "keep", "discard"]
    assert made.machine.kills == 2


class FallingElsewhere(Falling):
    @property
    def elsewhere(self) -> bool:
        return True


def test_where_trials_go_on_without_the_harness_its_deaths_are_nobodys_crash(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed twice before a trial's order had been sent: the trial is made, and judged as ever."""
    made = world(["loss = 1.2\n# one", "deadly\nloss = 0.7"], slots=3)
    made.machine = deadly = Deadly(made.folder, most=3)

    monkeypatch.setattr(
        World, "made_slots", lambda self: FallingElsewhere([("p", self._place) for _ in range(3)])
    )
    for _ in range(6):
        with contextlib.suppress(Killed):
            made.session().run()
            break
    state = made.session().trial_runner.state
    assert deadly.kills == 3
    assert [str(proposal.decision) for proposal in state.decided] == ["discard", "keep"]
    assert_each_trial_once(made.folder)


def test_an_orderly_end_closes_all_that_is_under_way(world: Make) -> None:
    """Ctrl-C with trials in every slot: each is closed in order, counts against nobody, and is made again."""
    made = world(SHORT, slots=3)

    class Interrupting(Recorder):
        def record(self, row: Any) -> None:
            super().record(row)
            if row.kind == "trial_started" and row.proposal == 1 and len(self.seen) < 30:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.session(Interrupting()).run()
    rows = rows_of(made.folder)
    started = {row["trial_id"] for row in rows if row["kind"] == "trial_started"}
    assert started == {row["trial_id"] for row in rows if row["kind"] == "trial_finished"}
    made.session().run()
    one = world(SHORT)
    one.session().run()
    assert evidence_of(made) == evidence_of(one)


def test_another_number_of_slots_goes_on_with_the_session(world: Make) -> None:
    """Killed with three slots, gone on with in one, and the other way round: the same decisions."""
    expected = world(SHORT)
    expected.session().run()
    for before, after in ((3, 1), (1, 3)):
        made = world(SHORT, slots=before)
        with contextlib.suppress(Killed):
            made.session(Recorder(17)).run()
        made.slots = after
        made.session().run()
        state, known = (each.session().trial_runner.state for each in (made, expected))
        assert [each.ruling.decision for each in state.decided] == [
            each.ruling.decision for each in known.decided
        ]
        assert not state.ahead.under_way


def test_failures_of_ours_are_repeated_with_a_fresh_seed(world: Make) -> None:
    made = world(SHORT, slots=3)
    made.machine.fail_next = 2
    made.session().run()
    state = made.session().trial_runner.state
    failed = [trial for trial in state.trials if trial.outcome is Outcome.INFRA_FAILED]
    assert {trial.measured.reason for trial in failed} == {"no_space"}
    assert all(f"{trial.trial_id}~2" in {each.trial_id for each in state.trials} for trial in failed)
    made.machine.fail_next = 1000
    again = world(SHORT, slots=3)
    again.machine.fail_next = 1000
    with pytest.raises(HarnessError, match="3 times"):
        again.session().run()


def test_no_artefact_of_an_unused_trial_stays(world: Make) -> None:
    made = world(SERIES, slots=8)
    made.session().run()
    rows = rows_of(made.folder)
    taken = {row["ahead"] for row in rows if row["kind"] == "trial_taken"}
    kept = {file.name.partition(".")[0] for file in (made.folder / "artefacts").iterdir()}
    assert kept <= taken


def test_what_is_compared_one_to_one_is_made_on_one_card(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials of a block, head and certified state of a race, and the two sides of a certificate share a card."""
    made = world(SERIES, slots=4, keep=Stack(provisional_keeps=2))
    seen: dict[str, set[str]] = {}

    def slots(self: World) -> Slots:
        def place(name: str) -> Callable[[], Slot]:
            return lambda: Slot(name, self.machine, self.machine, Unwatched())

        return LocalSlots([(f"gpu {number}", place(f"gpu {number}")) for number in range(4)], paired=True)

    plain = Slot.measure

    def noting(self: Slot, order: Any, cancelled: Any) -> Any:
        if order.pair:
            seen.setdefault(order.pair, set()).add(self.name)
        return plain(self, order, cancelled)

    monkeypatch.setattr(World, "made_slots", slots)
    monkeypatch.setattr(Slot, "measure", noting)
    made.session().run()
    assert seen
    assert all(len(places) == 1 for places in seen.values())
    assert {"race1/1", "cert1/1"} <= seen.keys()


def test_cores_are_shared_out() -> None:
    assert shared_out(range(8), 4, 2) == [
        frozenset({0, 1}),
        frozenset({2, 3}),
        frozenset({4, 5}),
        frozenset({6, 7}),
    ]
    assert shared_out(range(2), 4, 1) == [None] * 4


def test_reports_show_each_trial_once(world: Make) -> None:
    """W&B gets one entry a trial that became evidence, with its own id, and what is under way is shown."""
    made = world(SHORT, slots=3)
    tracker = Recorder()
    session = made.session(tracker)
    session.run()
    state = SessionRecord()
    entries = []
    for row in tracker.seen:
        state.add(row)
        entries.append(metrics_of(state, row))
    ids = [entry["trial/id"] for entry in entries if entry and "trial/id" in entry]
    assert ids == [trial.trial_id for trial in session.trial_runner.state.trials]
    begun = [row for row in tracker.seen if row.kind == "trial_started"]
    half = SessionRecord(tracker.seen[: begun[2].seq + 1])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(live_view(half))
    assert begun[2].trial_id in console.export_text()
