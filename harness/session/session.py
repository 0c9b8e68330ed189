"""The loop: an agent proposes, the referee decides, keeps become the incumbent, a certificate ends it.

Every step is a ledger row before and after it is taken, and the next step follows from the rows alone: a
session that was killed anywhere goes on where it stopped.
"""

from dataclasses import dataclass

from harness.errors import AgentError, HarnessError
from harness.ledger.ahead import NOT_WANTED
from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import DecidedRow, SessionEndedRow
from harness.ledger.workspace import Workspace
from harness.records import DecidedBy, Decision, EndCause, Role
from harness.session.branch import branch_commits
from harness.session.certification import certify
from harness.session.intake import Intake
from harness.session.limits import LimitReached, SessionLimits
from harness.session.referee import Referee, Ruling
from harness.session.trial_runner import TrialRunner

TAMPERED = "integrity.manifest_changed"  # the reason of the guard that compares protected files
_MAY_LEAVE_ROOM = (EndCause.TRIALS, EndCause.HOURS)  # trials were set aside for a race that took fewer
MOST_PROBLEMS = 25  # unusable proposals in a row, before the agent is given up


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """Why a search ended; the text says the same to people."""

    cause: EndCause
    text: str


@dataclass
class Session:
    """One agent on one task with one program."""

    trial_runner: TrialRunner
    workspace: Workspace
    intake: Intake
    referee: Referee
    limits: SessionLimits

    def run(self) -> SearchEnd:
        """Search until a limit is reached or the agent ends it, then certify; why it ended is returned.

        Raises HarnessError when the task or the machine does not work; the session can then be resumed.
        """
        self.referee.measure_baseline()
        while True:
            end = self._step()
            if end is not None and not (self._settle_stack(ending=True) and end.cause in _MAY_LEAVE_ROOM):
                break
        self._certify()
        self._end(end)
        return end

    def _settle_stack(self, ending: bool = False) -> bool:
        """Certify or roll back what the keep rule will not leave provisional; whether there was something."""
        if not self.referee.settle(ending):
            return False
        self.synchronise()
        return True

    def _step(self) -> SearchEnd | None:
        """One proposal, from asking to decision; why the search ends, or None to go on."""
        state = self.trial_runner.state
        try:
            while state.open is None and self._settle_stack():
                pass
            self.limits.check_proposal(state)
            proposal = state.open or self.intake.next()
            if proposal is None:
                return SearchEnd(EndCause.AGENT_FINISHED, "the agent has no more proposals")
            self._settle(proposal, self.referee.decide(proposal))
        except LimitReached as limit:
            return SearchEnd(limit.cause, str(limit))
        except AgentError as error:
            return SearchEnd(EndCause.AGENT_FAILED, f"the agent cannot go on: {error}")
        if state.decided[-1].reason == TAMPERED:
            what = state.decided[-1].ruling.message
            raise HarnessError(
                f"{what} while a trial was under way: nothing after it can be believed; "
                "look into it, then repeat the command"
            )
        last = [proposal.decided_by for proposal in state.decided[-MOST_PROBLEMS:]]
        failing = len(last) == MOST_PROBLEMS and set(last) == {DecidedBy.AGENT}
        text = f"{MOST_PROBLEMS} proposals in a row were unusable"
        return SearchEnd(EndCause.UNUSABLE_PROPOSALS, text) if failing else None

    def _settle(self, proposal: ProposalRecord, ruling: Ruling) -> None:
        """The decision's row first, then the branch: after a crash in between, `synchronise` makes up for it."""
        state, said = self.trial_runner.state, [verdict.evidence for verdict in proposal.verdicts]
        trials = self.referee.trials(proposal)
        row = DecidedRow(
            proposal=proposal.number,
            decision=ruling.decision,
            decided_by=ruling.decided_by,
            reason=ruling.reason,
            message=ruling.message,
            score=state.mean_score(proposal.commit, Role.CANDIDATE),
            incumbent_score=state.mean_score(state.incumbent),
            commit=proposal.commit,
            seeds=[seen.seed for seen in trials],
            category=next((str(found["category"]) for found in said if "category" in found), ""),
            complexity=next((found["complexity"] for found in said if "complexity" in found), None),
            statistics=dict(ruling.statistics),
            usage=proposal.usage,
            gpu_seconds=sum(seen.billed_seconds for seen in trials),
            provisional=ruling.decision is Decision.KEEP and self.referee.keep.settling_trials > 0,
        )
        self.trial_runner.record(row)
        if ruling.decision is Decision.KEEP:
            self.synchronise()
        else:
            self.trial_runner.forget(proposal.commit)
        self.trial_runner.forget_unused()

    def synchronise(self) -> None:
        """Bring the branch up to the rows: a commit for each final or certified keep, and one for each roll-back."""
        for write in branch_commits(self.trial_runner.task.metric, self.trial_runner.state)[
            len(self.workspace.commits()) :
        ]:
            write(self.workspace)

    def _certify(self) -> None:
        """If anything was kept since the last certificate: fresh trials of head and baseline, sealed split."""
        state = self.trial_runner.state
        certified = state.certificates[-1].head_commit if state.certificates else state.baseline
        if state.incumbent != certified and self.limits.budget.certificate:
            certify(self.trial_runner, self.intake.files_of, self.limits.budget.certificate)

    def _end(self, end: SearchEnd) -> None:
        self.trial_runner.end_ahead(NOT_WANTED)
        state, slots = self.trial_runner.state, self.trial_runner.slots
        if state.ahead.unused:
            self.trial_runner.notice(f"{state.ahead.unused} trials were made ahead and not asked for")
        row = SessionEndedRow(
            cause=end.cause,
            reason=end.text,
            proposals=len(state.decided),
            keeps=len(state.keeps),
            trials=state.finished_trials,
            busy_share=state.trial_seconds() / state.active_seconds / slots if state.active_seconds else 0.0,
        )
        self.trial_runner.record(row)
