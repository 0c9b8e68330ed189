"""What the branch `autoresearch/<tag>` should hold, by the rows: it advances by keeps that are final.

Under a rule with two levels those are certified steps, one commit for each single change in it; a roll-back is a
commit, too, with the tree that it goes back to, and the stack that failed stays at a ref.
"""

from collections.abc import Callable, Mapping
from functools import partial

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import SettledRow
from harness.ledger.session_record import SessionRecord
from harness.ledger.workspace import Workspace
from harness.records import Action, Decision

Write = Callable[[Workspace], object]


def branch_commits(metric: str, state: SessionRecord) -> list[Write]:
    """One for each commit after the baseline, in order; called, it makes that commit."""
    found: list[tuple[int, Write]] = [
        (proposal.ruling.seq, partial(_keep, proposal, _trailers(metric, proposal)))
        for proposal in state.decided
        if proposal.decision is Decision.KEEP and not proposal.ruling.provisional
    ]
    for row in state.settlements:
        if row.action is Action.ROLL_BACK:
            found.append((row.seq, partial(_roll_back, row)))
            continue
        for number in row.keeps:
            trailers = {**_trailers(metric, state.proposals[number]), **_step_trailers(row)}
            found.append((row.seq, partial(_keep, state.proposals[number], trailers)))
    return [write for _, write in sorted(found, key=lambda one: one[0])]


def _keep(proposal: ProposalRecord, trailers: Mapping[str, str], workspace: Workspace) -> None:
    workspace.keep(proposal.commit, proposal.rationale, trailers)


def _roll_back(row: SettledRow, workspace: Workspace) -> None:
    numbers = ", ".join(str(number) for number in row.keeps)
    trailers = {"Roll-back": f"race {row.race}, proposals {numbers}", "Verdict": _verdict(row)}
    trailers["Ledger"] = f"{row.seq} {row.hash}"
    workspace.roll_back(row.race, row.head_commit, f"Roll back proposals {numbers}", trailers)


def _trailers(metric: str, proposal: ProposalRecord) -> dict[str, str]:
    ruling = proposal.ruling
    return {
        "Metric": f"{metric} {ruling.score}",
        "Seeds": ", ".join(str(seed) for seed in ruling.seeds),
        "Verdict": f"{ruling.decision.value} ({ruling.reason}; {ruling.message})",
        "Ledger": f"{ruling.seq} {ruling.hash}",
    }


def _step_trailers(row: SettledRow) -> dict[str, str]:
    return {"Step": f"{row.race} ({_verdict(row)})", "Step-ledger": f"{row.seq} {row.hash}"}


def _verdict(row: SettledRow) -> str:
    return f"{row.action.value}: {row.reason}; {row.message}"
