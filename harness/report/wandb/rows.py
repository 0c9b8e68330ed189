"""What W&B is told of a row: plain numbers under stable names. Pure."""

import hashlib
from typing import Any

from harness.ledger.ahead import MARK
from harness.ledger.rows import (
    AboutTrial,
    CertificateRow,
    DecidedRow,
    Row,
    ScoredRow,
    SessionEndedRow,
    SessionStartedRow,
    SettledRow,
    TrialFinishedRow,
    TrialTakenRow,
)
from harness.ledger.session_record import SessionRecord
from harness.records import Action, Decision, Outcome
from harness.report.analysis import claimed_gain
from harness.report.escape import one_line
from harness.report.redact import redacted


def run_id(first: SessionStartedRow) -> str:
    """Of the W&B run: the same whenever this session is resumed, another for every other session."""
    return hashlib.sha256(first.hash.encode()).hexdigest()[:16]


def config_of(session: SessionRecord) -> dict[str, Any]:
    """The configuration without secrets, and what identifies the session."""
    start = session.started
    names = (
        "task", "agent", "metric", "direction", "unit", "level", "certified", "fingerprint", "version", "choices",
        "config",
    )  # fmt: skip
    content = start.content()
    config = redacted({name: content[name] for name in names})
    assert isinstance(config, dict)
    return config


def metrics_of(session: SessionRecord, row: Row) -> dict[str, Any] | None:
    """What to log for a row that `session` has already taken in, None for nothing.

    Each trial gives exactly one entry: with its score, or with its outcome when it has none. A trial that was
    interrupted gives none: it is not a result and is run again under another name. One that was made side by side
    with others gives it when it becomes evidence.
    """
    if isinstance(row, AboutTrial) and MARK in row.trial_id:
        return None
    match row:
        case TrialTakenRow():
            taken = session.trial(row.trial_id)
            return _trial(session, row) if taken and taken.outcome is not Outcome.INFRA_FAILED else None
        case ScoredRow(status=status) if status != "infra_failed":
            return _trial(session, row)
        case TrialFinishedRow(outcome=Outcome.CRASHED | Outcome.TIMED_OUT):
            return _trial(session, row)
        case DecidedRow():
            return _decision(session, row)
        case SettledRow():
            return _step(session, row)
        case CertificateRow():
            return {name: value for name, value in certificate_of(row).items() if _is_number(value)}
        case SessionEndedRow():
            return {"keeps": len(session.keeps), "proposals": len(session.decided)}
    return None


def _trial(session: SessionRecord, row: AboutTrial) -> dict[str, Any]:
    trial = session.trial(row.trial_id)
    assert trial is not None
    found: dict[str, Any] = {
        "trial/id": trial.trial_id,
        "trial/role": trial.role.value,
        "trial/seed": trial.seed,
        "trial/outcome": trial.measured.outcome.value,
        "trial/billed_seconds": trial.measured.billed_seconds,
        "trial/wall_seconds": trial.measured.wall_seconds,
        "trial/peak_memory_mib": trial.measured.peak_memory_bytes / 2**20,
        "trial/commit": trial.commit[:12],
        "trials": len(session.trials),
    }
    if trial.proposal is not None:
        found["proposal"] = trial.proposal
    for split, value in trial.values.items():
        found[f"score/{split}"] = value
        found[f"score/{trial.role.value}"] = value
    side = {f"side/{one_line(name, 60)}": value for name, value in trial.side.items() if _is_number(value)}
    return found | side


def _decision(session: SessionRecord, row: DecidedRow) -> dict[str, Any]:
    found: dict[str, Any] = {
        "proposal": row.proposal,
        "decision/kept": int(row.decision is Decision.KEEP),
        "decision/reason": one_line(row.reason, 80),
        "decision/category": one_line(row.category, 40),
        "decision/title": one_line(session.proposal(row.proposal).title, 120),
        "keeps": len(session.keeps),
        "decision/provisional": int(row.provisional),
        "provisional_keeps": len(session.provisional),
        "certified_steps": len(session.certified_steps),
        "cost/dollars": session.dollars,
        "cost/tokens": session.tokens,
        "cost/trial_hours": session.trial_seconds() / 3600,
    }
    optional = {
        "decision/score": row.score,
        "incumbent": session.incumbent_score,
        "claimed_gain": claimed_gain(session),
    }
    found |= {name: value for name, value in optional.items() if _is_number(value)}
    return found | {
        f"statistics/{name}": value for name, value in row.statistics.items() if _is_number(value)
    }


def _step(session: SessionRecord, row: SettledRow) -> dict[str, Any]:
    """A certified step or a roll-back."""
    found: dict[str, Any] = {
        "race/number": row.race,
        "race/certified": int(row.action is Action.CERTIFY),
        "race/keeps": len(row.keeps),
        "race/reason": one_line(row.reason, 80),
        "keeps": len(session.keeps),
        "provisional_keeps": len(session.provisional),
        "certified_steps": len(session.certified_steps),
    }
    return found | {f"race/{name}": value for name, value in row.statistics.items() if _is_number(value)}


def summary_of(session: SessionRecord) -> dict[str, Any]:
    """The session in a few numbers: what tables of runs are sorted by."""
    found: dict[str, Any] = {
        "proposals": len(session.decided),
        "keeps": len(session.keeps),
        "certified_steps": len(session.certified_steps),
        "rolled_back": sum(proposal.rolled_back for proposal in session.decided),
        "baseline": session.baseline_score,
        "incumbent": session.incumbent_score,
        "claimed_gain": claimed_gain(session),
        "isolation_certified": session.isolation_certified,
        "ended": one_line(session.ended.reason, 120) if session.ended else "",
    }
    if (row := session.certificate) is not None:
        found |= certificate_of(row)
    return {name: value for name, value in found.items() if value is not None}


def certificate_of(row: CertificateRow) -> dict[str, Any]:
    """Its numbers by name."""
    names = ("gain", "low", "high", "p", "passed", "item_low", "item_high")
    return {f"certificate/{key}": getattr(row, key) for key in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
