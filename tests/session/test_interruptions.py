"""What ends a session from outside, and who answers for it."""

import contextlib
import ctypes
import gc
import signal
import sys
import weakref
from collections.abc import Callable
from threading import Event

import pytest

from harness.ledger.clock import SittingClock
from harness.ledger.interruption import ended_by_signals
from harness.ledger.rows import NoticeRow, SessionResumedRow, TrialStartedRow
from harness.protocols import Stop
from harness.records import Clock, Decision, Files, Outcome, Role, TrialResult, TrialSpec
from harness.sandbox.open import End
from harness.trial.trial import Times, _verdict
from tests.session.conftest import Killed, Machine, Recorder, World

BETTER = "loss = 0.8\n# a larger model"
Make = Callable[..., World]


class Interrupted(Machine):
    """Ctrl-C while a candidate's trial is under way."""

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        if spec.role is Role.CANDIDATE:
            raise KeyboardInterrupt
        return super().run(spec, source, stop)


def test_orderly_ends_count_against_nobody(world: Make) -> None:
    """Three times Ctrl-C during one and the same candidate: each closes its trial in order, and the candidate is
    measured and kept in the end. (Its attack is the candidate that kills the harness twice: test_session.py.)"""
    made = world([BETTER])
    calm = made.machine
    made.machine = Interrupted(made.folder)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            made.session().run()
    made.machine = calm
    session = made.session()
    session.run()
    state = session.trial_runner.state
    stopped = [trial for trial in state.trials if trial.measured.reason == "stopped"]
    assert [trial.outcome for trial in stopped] == [Outcome.INFRA_FAILED] * 3
    assert state.decided[0].decision is Decision.KEEP


def test_what_a_kill_left_is_swept_on_the_next_start(world: Make) -> None:
    """Killed between the decision and the deletion of its weights, or before a trial's row: the files go."""
    made = world(["loss = 1.5\n# worse", BETTER])
    whole = world(["loss = 1.5\n# worse", BETTER])
    tracker = Recorder()
    whole.session(tracker).run()
    decided = next(row.seq for row in tracker.seen if row.kind == "decided")
    with pytest.raises(Killed):
        made.session(Recorder(decided)).run()
    artefacts = made.folder / "artefacts"
    (artefacts / "p0009-1").write_text("of a trial that no row tells of")
    assert any(file.name.startswith("p0001") for file in artefacts.iterdir())
    made.session()
    assert not [file.name for file in artefacts.iterdir() if file.name.startswith(("p0001", "p0009"))]


def test_a_wall_clock_that_jumps_costs_no_hours() -> None:
    """Ten hours forward and twenty back within a sitting, a night between two: only what the harness was up counts.
    Rows of builds that noted the wall clock alone are taken by that."""
    clock = SittingClock()
    for time, seconds in (("2026-01-01T00:00:00+00:00", 1.0), ("2026-01-01T10:00:00+00:00", 61.0),
                          ("2025-12-31T14:00:00+00:00", 71.0)):  # fmt: skip
        clock.add(NoticeRow(time=time, sitting_seconds=seconds))
    assert clock.active_seconds == 71.0
    clock.add(SessionResumedRow(time="2026-01-02T00:00:00+00:00", sitting_seconds=2.0))
    clock.add(TrialStartedRow(time="2026-01-02T09:00:00+00:00", sitting_seconds=30.0))
    assert clock.active_seconds == 71.0 + 30.0
    old = SittingClock()
    old.add(NoticeRow(time="2026-01-01T00:00:00+00:00"))
    old.add(NoticeRow(time="2026-01-01T00:01:00+00:00"))
    assert old.active_seconds == 60.0


@pytest.mark.parametrize(
    ("billed", "ended_for", "stalled", "expected"),
    [
        (75.0, "", 74.0, (Outcome.INFRA_FAILED, "stalled")),  # ended in time while nobody looked
        (75.0, "deadline", 74.0, (Outcome.INFRA_FAILED, "stalled")),
        (0.9, "", 74.0, (Outcome.COMPLETED, "")),  # by the processor's clock it was in time
        (75.0, "deadline", 0.0, (Outcome.TIMED_OUT, "late")),  # the referee was there all the time
        (1.0, "deadline", 0.0, (Outcome.COMPLETED, "deadline")),
    ],
)
def test_a_referee_that_stood_still_blames_no_candidate(
    billed: float, ended_for: str, stalled: float, expected: tuple[Outcome, str]
) -> None:
    """Stopped for 75 s while the candidate ended in time: an infrastructure failure. A late one stays late."""
    times = Times(startup=0.5, billed=billed, wall=76.0, suspended=0.0, stalled=stalled)
    end = End(status=0, limit="", proven=True, cpu_seconds=billed, peak_memory_bytes=0)
    assert _verdict(end, ended_for, Clock("wall", 1.0), times) == expected


def test_a_signal_while_an_object_is_finalized_is_not_lost() -> None:
    """What is raised in `__del__` is swallowed and printed: the session is ended right after it instead."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def finalize() -> None:
        Finalized()
        Event().wait(60)

    with ended_by_signals(), pytest.raises(KeyboardInterrupt):
        finalize()


def _in_the_collector() -> None:
    def collected(phase: str, information: dict[str, int]) -> None:
        gc.callbacks.remove(collected)
        signal.raise_signal(signal.SIGTERM)

    gc.callbacks.append(collected)
    gc.collect()


def _in_a_weak_reference() -> None:
    class Referred:
        """Its instances can be referred to weakly."""

    referred = Referred()
    reference = weakref.ref(referred, lambda _: signal.raise_signal(signal.SIGTERM))
    del referred
    assert reference() is None


def _in_a_call_from_c() -> None:
    @ctypes.CFUNCTYPE(None)
    def called() -> None:
        signal.raise_signal(signal.SIGTERM)

    called()


@pytest.mark.parametrize("swallows", [_in_the_collector, _in_a_weak_reference, _in_a_call_from_c])
def test_a_signal_where_python_only_prints_what_is_raised_is_not_lost(
    swallows: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """It comes again where it can be raised, and nothing of it is printed. Other people's exceptions still are."""
    hook = sys.unraisablehook

    def swallow() -> None:
        swallows()
        Event().wait(60)

    with ended_by_signals(), pytest.raises(KeyboardInterrupt):
        swallow()
    assert sys.unraisablehook is hook
    assert capfd.readouterr().err == ""


def test_what_others_raise_there_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only interruptions are taken out of what Python prints."""
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda swallowed: said.append(swallowed.exc_type))

    class Finalized:
        def __del__(self) -> None:
            raise ValueError

    with ended_by_signals():
        Finalized()
    assert said == [ValueError]


def test_a_signal_that_was_swallowed_at_the_very_end_ends_nothing_else() -> None:
    """The block is over before it can come again: whoever called goes on, with its own handlers."""
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(KeyboardInterrupt), ended_by_signals(), ended_by_signals():
        _in_the_collector()
    assert signal.getsignal(signal.SIGTERM) is before
    Event().wait(0.1)
