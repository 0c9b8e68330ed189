"""The machine never waits: while trials are made, the agent's next proposals are prepared in a thread.

A prepared proposal was thought out against the incumbent of its time. When that has changed by the time the
proposal is wanted, its edit is merged with the new incumbent; where both touched the same lines it is dropped.
Dropped proposals were paid for: what they cost is added to the next one's usage.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace

from harness.agents.memory import PENDING
from harness.agents.merge import Conflict, merged
from harness.errors import AgentError
from harness.protocols import Agent
from harness.records import Decision, Files, PastProposal, Proposal, Usage, View, added
from harness.trial.seeds import trial_seed

_CLOSE_SECONDS = 10.0  # a request that is under way when the session ends is not waited for any longer


@dataclass(slots=True)
class _Waiting:
    """fitted: the edit on the files that it was last asked for with."""

    view: View
    future: "Future[Proposal | None]"
    fitted: "tuple[dict[str, bytes], Proposal | None] | None" = None


class _Worker:
    """One thread for all of an agent's thinking. It does not keep the harness from ending."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Proposal | None], Callable[[], Proposal | None]]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._go_on, name="agent", daemon=True).start()

    def submit(self, think: Callable[[], Proposal | None]) -> "Future[Proposal | None]":
        future: Future[Proposal | None] = Future()
        self._work.put((future, think))
        return future

    def _go_on(self) -> None:
        while True:
            future, think = self._work.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(think())
            except BaseException as error:  # noqa: BLE001  # raised again where the result is wanted
                future.set_exception(error)


class Prefetch:
    """Implements protocols.Proposer around any agent.

    ahead: how many proposals may wait; default: what the agent's attribute `ahead` says, else 0. With 0 nothing
    is prepared, and the agent sees every result before its next proposal, as controls must. slots: trials under way
    at once; so many more may wait. An agent that is `repeatable` (the same view, the same proposal, at no cost) is
    asked ahead where there are several slots, and again instead of merging. seed_of: the seed of a proposal's view.
    used, rebased, dropped: prepared proposals that were wanted, merged with a new incumbent, or in conflict with it.
    unused: what proposals cost that were prepared in vain and are not in any other's usage yet.
    """

    def __init__(
        self,
        agent: Agent,
        ahead: int | None = None,
        slots: int = 1,
        seed_of: Callable[[int], int] | None = None,
    ) -> None:
        self.ahead = int(getattr(agent, "ahead", 0)) if ahead is None else ahead
        self._repeatable = bool(getattr(agent, "repeatable", False))
        if slots > 1 and (self.ahead or self._repeatable):
            self.ahead += slots
        self._seed_of = seed_of
        self.used = self.rebased = self.dropped = 0
        self.unused = getattr(agent, "unbooked", Usage())
        self._agent = agent
        self._waiting: list[_Waiting] = []
        self._on_trial: list[PastProposal] = []
        self._thread = _Worker() if self.ahead > 0 else None

    @property
    def thinks_ahead(self) -> bool:
        return self.ahead > 0

    def next(self, view: View) -> Proposal | None:
        """Proposal `view.number`: the prepared one if it still fits, else a fresh one. Raises AgentError."""
        proposal = self._prepared(view) or self._fresh(view)
        if proposal is None:
            return None
        proposal = replace(proposal, usage=added(proposal.usage, self.unused))
        self.unused = Usage()
        self._on_trial.append(_pending(view, proposal))
        return proposal

    def prepare(self, view: View) -> None:
        """Start on proposal `view.number`, and on those after it as far as they may wait. Returns at once."""
        if self._thread is None:
            return
        self._forget_before(view.number)
        if self._repeatable and any(
            dict(each.view.editable) != dict(view.editable) for each in self._waiting
        ):
            self._waiting = []
        last = view.number + self.ahead - 1
        if view.proposals_left is not None:
            last = min(last, len(view.history) + view.proposals_left)
        started = {entry.view.number for entry in self._waiting}
        for number in range(view.number, last + 1):
            if number not in started:
                self._start(self._later(view, number))

    def close(self) -> None:
        """Ends what is being thought out, soon; what it cost, as far as that is known, is added to `unused`."""
        under_way = [entry for entry in self._waiting if not entry.future.cancel()]
        if hasattr(self._agent, "close"):
            self._agent.close()
        wait([entry.future for entry in under_way], _CLOSE_SECONDS)
        for entry in under_way:
            if entry.future.done():
                self._lose(entry)
        self._waiting = []

    def account(self) -> str:
        """What became of the prepared proposals since this start, in a sentence for people; "" if there were none."""
        lost = f"; those not used cost ${self.unused.dollars:.2f} more" if self.unused.dollars > 0 else ""
        if not (self.used or self.dropped or lost):
            return ""
        return (
            f"prepared while trials ran: {self.used} proposals used, {self.rebased} of them merged with a newer "
            f"incumbent; {self.dropped} dropped for a conflict with it{lost}"
        )

    def _later(self, view: View, number: int) -> View:
        """The view for a proposal further ahead, with a seed of its own."""
        if number == view.number:
            return view
        seed = trial_seed(str(view.seed).encode(), f"ahead-{number}")
        return replace(view, number=number, seed=self._seed_of(number) if self._seed_of else seed)

    def ready(self, editable: Files) -> list[tuple[int, Proposal]]:
        """Prepared proposals as they would be handed out with these files, up to the first that is not ready."""
        found = []
        for entry in list(self._waiting):
            if not entry.future.done() or (proposal := _result(entry)) is None:
                break
            if entry.fitted is None or entry.fitted[0] != dict(editable):
                entry.fitted = dict(editable), self._fitted(proposal, entry.view.editable, editable)
            if (fitting := entry.fitted[1]) is not None:
                found.append((entry.view.number, fitting))
        return found

    def _start(self, view: View) -> None:
        assert self._thread is not None
        decided = {past.number for past in view.history}
        self._on_trial = [past for past in self._on_trial if past.number not in decided]
        before = [entry for entry in self._waiting if entry.view.number < view.number]
        on_trial = tuple(self._on_trial)
        future = self._thread.submit(lambda: self._think(view, on_trial, tuple(before)))
        self._waiting.append(_Waiting(view, future))

    def _think(
        self, view: View, on_trial: tuple[PastProposal, ...], before: tuple[_Waiting, ...]
    ) -> Proposal | None:
        """In the thread, after all that wait before this one. The agent sees what it must not repeat."""
        undecided = list(on_trial)
        for entry in before:
            proposal = _result(entry)
            if proposal is not None:
                undecided.append(_pending(entry.view, proposal))
        return self._agent.propose(replace(view, history=(*view.history, *undecided)))

    def _fresh(self, view: View) -> Proposal | None:
        if self._thread is None:
            return self._agent.propose(view)
        # One thread: agents need no locks.
        return self._thread.submit(lambda: self._agent.propose(view)).result()

    def _prepared(self, view: View) -> Proposal | None:
        """None when there is none, or none that fits; an agent that failed then is asked again."""
        self._forget_before(view.number)
        if not self._waiting or self._waiting[0].view.number != view.number:
            return None
        entry = self._waiting.pop(0)
        proposal = _result(entry)
        if proposal is None:
            return None
        fitting = self._fitted(proposal, entry.view.editable, view.editable)
        if fitting is None:
            self.dropped += 1
            self.unused = added(self.unused, proposal.usage)
        else:
            self.used += 1
            self.rebased += fitting is not proposal
        return fitting

    def _fitted(self, proposal: Proposal, base: Files, now: Files) -> Proposal | None:
        """The edit on the incumbent of now; None where that cannot be, or where the agent is rather asked again."""
        if dict(base) == dict(now):
            return proposal
        if self._repeatable:
            return None
        if proposal.problem:
            return proposal
        try:
            files = merged(base, proposal.files, now)
        except Conflict:
            return None
        gone = any(path not in now for path in proposal.deleted)
        if gone or not (files or proposal.deleted or proposal.links):
            return None
        return replace(proposal, files=files)

    def _forget_before(self, number: int) -> None:
        while self._waiting and self._waiting[0].view.number < number:
            self._lose(self._waiting.pop(0))

    def _lose(self, entry: _Waiting) -> None:
        failed = entry.future.cancelled() or entry.future.exception() is not None
        proposal = None if failed else entry.future.result()
        if proposal is not None:
            self.unused = added(self.unused, proposal.usage)


def _result(entry: _Waiting) -> Proposal | None:
    try:
        return entry.future.result()
    except AgentError:
        return None  # when the proposal is wanted the agent is asked again, and then it counts


def _pending(view: View, proposal: Proposal) -> PastProposal:
    return PastProposal(
        view.number,
        {**view.editable, **proposal.files},
        proposal.rationale,
        Decision.DISCARD,
        PENDING,
        state=proposal.state,
        hypothesis=proposal.hypothesis,
    )
