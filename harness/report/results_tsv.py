"""results.tsv as autoresearch's users know it: the baseline, then one line a proposal. Pure."""

from harness.ledger.record_parts import ProposalRecord, TrialRecord
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.report.escape import table_cell

_GIBIBYTE = 1 << 30


def results_tsv(session: SessionRecord) -> str:
    """The whole file. `val_<metric>`, or the metric where that begins so, is the mean over seeds; 0 for a crash, as
    autoresearch writes it, nan where nothing was measured (so that no plot takes it for a record)."""
    return head(session) + "".join(proposal_line(proposal) for proposal in session.decided)


def head(session: SessionRecord) -> str:
    """The headings and the baseline, once it is measured."""
    metric = session.metric if session.metric.startswith("val_") else f"val_{session.metric}"
    lines = [f"commit\t{metric}\tmemory_gb\tstatus\tdescription"]
    baseline = [trial for trial in session.trials_by_role[Role.BASELINE] if "val" in trial.values]
    if baseline:
        commit = session.baseline or baseline[0].commit
        lines.append(_line(commit, session.baseline_score, baseline, "keep", "baseline"))
    return "\n".join(lines) + "\n"


def proposal_line(proposal: ProposalRecord) -> str:
    """One line of the file, with its end."""
    score = 0.0 if proposal.status == "crash" else proposal.score
    about = proposal.title or proposal.problem or "no rationale"
    if not proposal.kept:
        reason = "rolled back" if proposal.rolled_back else proposal.reason
        about = f"{about} [{reason}]" if reason else about
    elif proposal.ruling.provisional:
        step = proposal.certified_step
        about = f"{about} [{'provisional' if step is None else f'certified in step {step}'}]"
    return _line(proposal.commit, score, proposal.candidate_trials, proposal.status, about) + "\n"


def _line(commit: str, score: float | None, trials: list[TrialRecord], status: str, about: str) -> str:
    memory = max((trial.measured.peak_memory_bytes for trial in trials), default=0) / _GIBIBYTE
    shown = "nan" if score is None else f"{score:.6f}"
    return f"{table_cell(commit)[:7]}\t{shown}\t{memory:.1f}\t{status}\t{table_cell(about)}"
