"""The seams. `session.py` knows these and no concrete class; the config picks the implementation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from harness.records import (
    Evidence,
    Files,
    Json,
    KeepEvidence,
    Observation,
    Proposal,
    Score,
    Split,
    Step,
    TrialResult,
    TrialSpec,
    Verdict,
    View,
)


class Agent(Protocol):
    """Proposes edits. Stateless: everything it needs to go on is in the view, so a session can be resumed.

    What an agent may have besides: `open(context)`, `check()` of its login, `close()`, `ahead` (proposals that it may
    prepare meanwhile), `reads_program = False` where the human's program makes no difference to it, and `begins_at`: a
    folder of the task's with the editable files that its session begins with.
    """

    def propose(self, view: View) -> Proposal | None:
        """The next proposal, or None when the agent has nothing more to offer (only controls do that).

        Raises AgentError when it cannot go on (no key, spending limit, provider down for good).
        """


class Proposer(Protocol):
    """What the session asks: an agent, perhaps one that thinks ahead while trials occupy the machine."""

    @property
    def thinks_ahead(self) -> bool:
        """Whether `prepare` does anything: otherwise nobody makes a view for it."""

    def next(self, view: View) -> Proposal | None:
        """The next proposal against the view's incumbent. Raises AgentError."""

    def prepare(self, view: View) -> None:
        """A trial is about to start: work on proposal `view.number` may begin. Returns at once."""

    def ready(self, editable: Files) -> Sequence[tuple[int, Proposal]]:
        """Numbers and prepared proposals as `next` would give them with these editable files, the next one first."""

    def close(self) -> None: ...


class Guard(Protocol):
    """A pure function from evidence to a verdict; called at its stage(s) only."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> tuple[str, ...]: ...

    def __call__(self, evidence: Evidence) -> Verdict: ...


Stop = Callable[[float, Mapping[str, Json]], bool]
"""(share of the budget that is used, what the candidate claims so far) -> is the rest a waste of time?"""


class Executor(Protocol):
    """Runs trials of candidates; returns when the process tree is gone and the artefact is ours."""

    def run(self, spec: TrialSpec, source: Files, stop: Stop | None = None) -> TrialResult:
        """stop: asked now and then; when it says so, the trial ends as timed_out with the reason "hopeless"."""


class Evaluator(Protocol):
    """Scores an artefact where the candidate is not."""

    def score(
        self, result: TrialResult, source: Files, split: Split, baseline: Sequence[Observation] = ()
    ) -> Score:
        """baseline: scored trials of the unmodified task here; what answers may cost comes from them alone."""


class KeepRule(Protocol):
    """Decides from losses alone, one step at a time; pure."""

    @property
    def incumbent_runs(self) -> int:
        """How many runs of the baseline to make before the first proposal."""

    @property
    def settling_trials(self) -> int:
        """Trials to set aside for settling provisional keeps at the end; 0: every keep is final."""

    def next_step(self, evidence: KeepEvidence) -> Step:
        """About an open proposal: RUN_CANDIDATE, RUN_INCUMBENT, KEEP or DISCARD."""

    def between(self, evidence: KeepEvidence) -> Step:
        """Before a proposal is asked for, and once more at the end: PROPOSE when there is nothing to settle."""


Guards = Sequence[Guard]
