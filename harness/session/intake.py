"""Takes proposals in: what the agent is shown, and how its answer is committed and written down."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import ProposalAskedRow, ProposedRow
from harness.ledger.workspace import BadPath, Workspace
from harness.protocols import Proposer
from harness.records import MOST_FILES, Proposal, View
from harness.session import evidence
from harness.session.limits import SessionLimits
from harness.session.trial_runner import TrialRunner
from harness.trial.seeds import trial_seed

_PATCH_CHARACTERS = 100_000


@dataclass
class Intake:
    """Between the agent and the ledger. program: the human's instructions."""

    trial_runner: TrialRunner
    workspace: Workspace
    proposer: Proposer
    limits: SessionLimits
    program: str

    def __post_init__(self) -> None:
        self.files_of = lru_cache(maxsize=256)(self.workspace.files)
        self.history = evidence.History(self.trial_runner.task, self.trial_runner.state, self.files_of)
        if self.proposer.thinks_ahead:
            self.trial_runner.before_trial = self._think_ahead

    def next(self) -> ProposalRecord | None:
        """Ask for a proposal and put it on the record; None when the agent has nothing more. Raises AgentError."""
        state, number = self.trial_runner.state, self._number()
        if state.asked < number:
            self.trial_runner.record(ProposalAskedRow(proposal=number))
        proposal = self.proposer.next(self._view(number))
        if proposal is None:
            return None
        self._write_down(number, proposal)
        assert state.open is not None
        return state.open

    def _number(self) -> int:
        """Of the proposal that comes after the decided and the open ones."""
        state = self.trial_runner.state
        return len(state.decided) + (2 if state.open else 1)

    def _view(self, number: int) -> View:
        trial_runner, state = self.trial_runner, self.trial_runner.state
        return evidence.view(
            trial_runner.task,
            state,
            self.program,
            self.history,
            number=number,
            seed=agent_seed(trial_runner.secret, number),
            proposals_left=self.limits.proposals_left(state),
            dollars_left=self.limits.dollars_left(state),
            tokens_left=self.limits.tokens_left(state),
        )

    def _think_ahead(self) -> None:
        """A trial is about to occupy the machine: the agent may prepare its next proposal meanwhile."""
        left = self.limits.proposals_left(self.trial_runner.state)
        if left is None or left > int(self.trial_runner.state.open is not None):
            self.proposer.prepare(self._view(self._number()))

    def _write_down(self, number: int, proposal: Proposal) -> None:
        parent = self.trial_runner.state.incumbent
        commit, problem = self._committed(number, parent, proposal)
        patch = self.workspace.patch(parent, commit) if commit else ""
        file = self.trial_runner.folder / "patches" / f"{number:04d}.patch"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{proposal.rationale}\n---\n{patch}", encoding="utf-8", errors="replace")
        self.trial_runner.record(
            ProposedRow(
                proposal=number,
                commit=commit,
                parent=parent,
                rationale=proposal.rationale,
                hypothesis=proposal.hypothesis,
                files={name: hashlib.sha256(content).hexdigest() for name, content in proposal.files.items()},
                deleted=list(proposal.deleted),
                links=dict(proposal.links),
                usage=proposal.usage,
                state=dict(proposal.state),
                problem=problem,
                patch=patch[:_PATCH_CHARACTERS],
            )
        )

    def _committed(self, number: int, parent: str, proposal: Proposal) -> tuple[str, str]:
        """The proposal's commit, "" if there can be none, and what is wrong with the proposal."""
        count = len(proposal.files) + len(proposal.deleted)
        if count > MOST_FILES:
            return "", f"the proposal changes {count} files, {MOST_FILES} are allowed"
        message = f"Proposal {number}: {proposal.rationale}"
        try:
            commit = self.workspace.propose(number, parent, proposal.files, proposal.deleted, message)
        except BadPath as error:
            return "", f"bad path: {error}"
        unchanged = self.workspace.same_tree(commit, parent) and not proposal.links
        return commit, proposal.problem or ("the proposal changes nothing" if unchanged else "")


def agent_seed(secret: bytes, number: int) -> int:
    """Of the view for proposal `number`."""
    return trial_seed(secret, f"agent-{number}")
