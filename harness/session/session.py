"""The loop: an agent proposes, the referee decides, keeps become the incumbent, a certificate ends it.

Every step is a ledger row before and after it is taken, and the next step follows from the rows alone: a
session that was killed anywhere goes on where it stopped.
"""

from dataclasses import dataclass

from harness.errors import AgentError, HarnessError
from harness.ledger.rows import to_json
from harness.ledger.state import OpenProposal
from harness.ledger.workspace import Workspace
from harness.records import Decision, Role
from harness.session.certification import certify
from harness.session.intake import Intake
from harness.session.limits import LimitReached, SessionLimits
from harness.session.referee import Referee, Ruling
from harness.session.trial_runner import TrialRunner

TAMPERED = "integrity.manifest_changed"  # the reason of the guard that compares protected files
MOST_PROBLEMS = 25  # unusable proposals in a row, before the agent is given up


@dataclass
class Session:
    """One agent on one task with one program."""

    trial_runner: TrialRunner
    workspace: Workspace
    intake: Intake
    referee: Referee
    limits: SessionLimits

    def run(self) -> str:
        """Search until a limit is reached or the agent ends it, then certify; the reason for the end is returned.

        Raises HarnessError when the task or the machine does not work; the session can then be resumed.
        """
        self.referee.measure_baseline()
        reason = ""
        while not reason:
            reason = self._step()
        self._certify()
        self._end(reason)
        return reason

    def _step(self) -> str:
        """One proposal, from asking to decision; why the search ends, or "" to go on."""
        state = self.trial_runner.state
        try:
            self.limits.check_proposal(state)
            proposal = state.open or self.intake.next()
            if proposal is None:
                return "the agent has no more proposals"
            self._settle(proposal, self.referee.decide(proposal))
        except LimitReached as limit:
            return str(limit)
        except AgentError as error:
            return f"the agent cannot go on: {error}"
        if state.decided[-1]["reason"] == TAMPERED:
            what = state.decided[-1]["message"]
            raise HarnessError(
                f"{what} while a trial was under way: nothing after it can be believed; "
                "look into it, then repeat the command"
            )
        last = [row["reason"] for row in state.decided[-MOST_PROBLEMS:]]
        failing = len(last) == MOST_PROBLEMS and set(last) == {"agent.problem"}
        return f"{MOST_PROBLEMS} proposals in a row were unusable" if failing else ""

    def _settle(self, proposal: OpenProposal, ruling: Ruling) -> None:
        """The decision's row first, then the branch: after a crash in between, `synchronise` makes up for it."""
        state, said = self.trial_runner.state, [verdict["evidence"] for verdict in proposal.verdicts]
        trials = self.referee.trials(proposal)
        self.trial_runner.record(
            "decided",
            proposal=proposal.number,
            decision=ruling.decision.value,
            reason=ruling.reason,
            message=ruling.message,
            score=state.mean_score(proposal.commit, Role.CANDIDATE),
            incumbent_score=state.mean_score(state.incumbent),
            commit=proposal.commit,
            seeds=[seen.seed for seen in trials],
            category=next((str(found["category"]) for found in said if "category" in found), ""),
            complexity=next((found["complexity"] for found in said if "complexity" in found), None),
            statistics=to_json(ruling.statistics),
            usage=proposal.row["usage"],
            gpu_seconds=sum(seen.billed_seconds for seen in trials),
        )
        if ruling.decision is Decision.KEEP:
            self.synchronise()
        else:
            self.trial_runner.forget(proposal.commit)

    def synchronise(self) -> None:
        """Bring the branch up to the rows: exactly one commit for each keep."""
        state = self.trial_runner.state
        for row in state.keeps[len(self.workspace.keeps()) :]:
            trailers = {
                "Metric": f"{self.trial_runner.task.metric} {row['score']}",
                "Seeds": ", ".join(str(seed) for seed in row["seeds"]),
                "Verdict": f"{row['decision']} ({row['reason']}; {row['message']})",
                "Ledger": f"{row['seq']} {row['hash']}",
            }
            rationale = str(state.proposed[int(row["proposal"])]["rationale"])
            self.workspace.keep(str(row["commit"]), rationale, trailers)

    def _certify(self) -> None:
        """If anything was kept since the last certificate: fresh trials of head and baseline, sealed split."""
        state = self.trial_runner.state
        certified = state.certificates[-1]["head_commit"] if state.certificates else state.baseline
        if state.incumbent != certified and self.limits.budget.certificate:
            certify(self.trial_runner, self.intake.files_of, self.limits.budget.certificate)

    def _end(self, reason: str) -> None:
        state = self.trial_runner.state
        self.trial_runner.record(
            "session_ended",
            reason=reason,
            proposals=len(state.decided),
            keeps=len(state.keeps),
            trials=state.trials,
            busy_share=state.trial_seconds / state.active_seconds if state.active_seconds else 0.0,
        )
