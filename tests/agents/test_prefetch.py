"""Thinking ahead: the machine is busy, nothing is paid for twice, nothing is acted on that no longer fits."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.controls.random import Random
from harness.agents.memory import PENDING
from harness.agents.merge import Conflict, merge_file, merged
from harness.agents.prefetch import Prefetch
from harness.errors import AgentError
from harness.records import Proposal, Usage, View

MakeView = Callable[..., View]
Decide = Callable[..., View]
LINES = b"a\nb\nc\nd\ne\nf\ng\nh\n"


class Thinker:
    """Takes its time; changes a line of the file as it sees it; costs a dollar."""

    def __init__(self, seconds: float = 0.0, ahead: int = 1) -> None:
        self.ahead = ahead
        self.seconds = seconds
        self.views: list[View] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()

    def propose(self, view: View) -> Proposal:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.views.append(view)
        time.sleep(self.seconds)
        with self._lock:
            self.running -= 1
        lines = view.editable["train.py"].split(b"\n")
        place = 3 * view.number % 8  # never next to that of the proposal before
        lines[place] += str(view.number).encode()
        return Proposal({"train.py": b"\n".join(lines)}, f"idea {view.number}", usage=Usage(dollars=1.0))


def busy_share(agent: Thinker, view: View, decide: Decide, trial_seconds: float, proposals: int) -> float:
    """A session in miniature, with real threads: a trial of the baseline, then one of each proposal."""
    proposer = Prefetch(agent)
    started, busy = time.monotonic(), 0.0

    def trial(view: View) -> None:
        nonlocal busy
        proposer.prepare(view)
        begun = time.monotonic()
        time.sleep(trial_seconds)
        busy += time.monotonic() - begun

    trial(view)
    for _ in range(proposals):
        proposal = proposer.next(view)
        assert proposal is not None
        trial(replace(view, number=view.number + 1))
        view = decide(view, proposal, 1.4, keep=view.number % 3 == 0)
    share = busy / (time.monotonic() - started)
    proposer.close()
    return share


def test_the_machine_is_busy_while_the_agent_thinks(make_view: MakeView, decide: Decide) -> None:
    """An agent that thinks for half a trial's time leaves the machine idle for less than a tenth of the time;
    without thinking ahead for about a third."""
    view = make_view(editable={"train.py": LINES})
    assert busy_share(Thinker(0.1), view, decide, 0.2, 15) >= 0.9
    assert busy_share(Thinker(0.1, ahead=0), view, decide, 0.2, 5) < 0.8


def test_the_agent_sees_what_is_on_trial_and_works_alone(make_view: MakeView, decide: Decide) -> None:
    """Undecided proposals are in its history as pending, once each; it never runs twice at a time."""
    agent = Thinker(0.01, ahead=3)
    proposer, view = Prefetch(agent), make_view(editable={"train.py": LINES})
    proposer.prepare(view)
    for _ in range(3):
        proposal = proposer.next(view)
        assert proposal is not None
        proposer.prepare(replace(view, number=view.number + 1))
        view = decide(view, proposal, 1.4)
    proposer.close()
    assert agent.most_running == 1
    assert [seen.number for seen in agent.views] == sorted({seen.number for seen in agent.views})
    for seen in agent.views:
        numbers = [past.number for past in seen.history]
        assert numbers == list(range(1, seen.number))
        assert all(past.reason == PENDING for past in seen.history[view.number :])
    assert len({seen.seed for seen in agent.views}) == len(agent.views)


def test_a_keep_rebases_what_waits_and_drops_what_conflicts(make_view: MakeView, decide: Decide) -> None:
    """Edits of other lines are carried over to the new incumbent; the same lines are a conflict: dropped, counted,
    and its cost is added to the next proposal's."""
    view = make_view(editable={"train.py": LINES})
    proposer = Prefetch(Thinker())
    proposer.prepare(view)
    first = proposer.next(view)
    assert first is not None
    proposer.prepare(replace(view, number=2))  # will change line 6, "g"
    kept = decide(view, first, 1.2, keep=True)  # changed line 3, "d"
    second = proposer.next(kept)
    assert second is not None
    assert second.files == {"train.py": b"a\nb\nc\nd1\ne\nf\ng2\nh\n"}
    assert (proposer.used, proposer.rebased, proposer.dropped) == (2, 1, 0)
    proposer.prepare(replace(kept, number=3))  # will change line 1, "b"
    other = replace(second, files={"train.py": kept.editable["train.py"].replace(b"b", b"B")})
    third = proposer.next(decide(kept, other, 1.1, keep=True))
    assert third is not None
    assert b"B3" in third.files["train.py"]
    assert third.usage.dollars == 2.0
    assert proposer.dropped == 1
    proposer.close()
    assert proposer.account() == (
        "prepared while trials ran: 2 proposals used, 1 of them merged with a newer incumbent; "
        "1 dropped for a conflict with it"
    )


def test_nothing_is_paid_for_and_forgotten(make_view: MakeView) -> None:
    """What waits at the end is reported; no more is prepared than the session has proposals left."""
    agent = Thinker(ahead=5)
    proposer = Prefetch(agent)
    proposer.prepare(make_view(editable={"train.py": LINES}, proposals_left=2))
    time.sleep(0.05)
    proposer.close()
    assert len(agent.views) == 2
    assert proposer.unused.dollars == 2.0


def test_the_end_of_a_session_does_not_wait_for_the_agent(
    make_view: MakeView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the agent is at: it is told to close, and left behind if it does not hear."""
    monkeypatch.setattr("harness.agents.prefetch._CLOSE_SECONDS", 0.2)
    never = threading.Event()

    class Stubborn(Thinker):
        closed = False

        def propose(self, view: View) -> Proposal:
            never.wait()
            return super().propose(view)

        def close(self) -> None:
            self.closed = True

    agent = Stubborn(ahead=2)
    proposer = Prefetch(agent)
    proposer.prepare(make_view())
    proposer.close()
    assert agent.closed
    assert not agent.views
    never.set()


def test_an_agent_that_failed_ahead_is_asked_again(make_view: MakeView) -> None:
    """A failure of an hour ago is not a failure now; one that lasts ends the session."""
    failing = [True, False]

    class Moody(Thinker):
        def propose(self, view: View) -> Proposal:
            if failing.pop(0):
                raise AgentError("down")
            return super().propose(view)

    proposer = Prefetch(Moody())
    view = make_view(editable={"train.py": LINES})
    proposer.prepare(view)
    assert proposer.next(view) is not None
    failing[:] = [True, True]
    proposer.prepare(replace(view, number=2))
    with pytest.raises(AgentError):
        proposer.next(replace(view, number=2))
    proposer.close()


def test_controls_are_never_asked_ahead(make_view: MakeView) -> None:
    """random, optuna and replay see every result first: the same as without prefetching."""
    proposer = Prefetch(Random())
    assert proposer.account() == ""
    assert proposer.ahead == 0
    proposer.prepare(make_view(number=2))
    assert proposer.next(make_view()) == Random().propose(make_view())
    proposer.close()


TEXTS = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=8).map(b"".join)


@given(base=TEXTS, theirs=TEXTS)
def test_merging_with_an_unchanged_side_gives_the_other(base: bytes, theirs: bytes) -> None:
    """And two equal changes are one."""
    assert merge_file(base, theirs, base) == theirs
    assert merge_file(base, base, theirs) == theirs
    assert merge_file(base, theirs, theirs) == theirs


@given(first=st.integers(0, 7), second=st.integers(0, 7))
def test_merging_edits_of_two_lines(first: int, second: int) -> None:
    """Two lines with one between them merge; the same or adjoining ones are a conflict."""

    def changed(place: int, text: bytes) -> bytes:
        lines = LINES.splitlines(keepends=True)
        lines[place] = text
        return b"".join(lines)

    ours, theirs = changed(first, b"OURS\n"), changed(second, b"THEIRS\n")
    if abs(first - second) > 1:
        result = merge_file(LINES, theirs, ours).splitlines(keepends=True)
        assert (result[first], result[second]) == (b"OURS\n", b"THEIRS\n")
    else:
        with pytest.raises(Conflict):
            merge_file(LINES, theirs, ours)


def test_files_that_came_or_went_are_conflicts() -> None:
    """Only edits are merged."""
    with pytest.raises(Conflict):
        merged({"a": b"1"}, {"a": b"2"}, {})
    with pytest.raises(Conflict):
        merged({}, {"a": b"2"}, {"a": b"1"})
    assert merged({"a": b"1"}, {"a": b"2"}, {"a": b"2"}) == {}
