"""What W&B is told of a row: plain numbers under stable names. Pure."""

import hashlib
from typing import Any

from harness.report.analysis import claimed_gain
from harness.report.escape import one_line
from harness.ledger.session_record import Session
from harness.ledger.record_parts import Row, number
from harness.report.redact import redacted


def run_id(first: Row) -> str:
    """Of the W&B run: the same whenever this session is resumed, another for every other session."""
    return hashlib.sha256(str(first.get("hash") or sorted(first.items())).encode()).hexdigest()[:16]


def config_of(session: Session) -> dict[str, Any]:
    """The configuration without secrets, and what identifies the session."""
    start = session.started
    keys = (
        "task",
        "agent",
        "metric",
        "direction",
        "unit",
        "level",
        "certified",
        "fingerprint",
        "version",
        "choices",
    )
    about = {key: start.get(key) for key in keys}
    config = redacted(
        {**about, "config": start.get("config") or {}, "program_sha256": start.get("program_sha256")}
    )
    assert isinstance(config, dict)
    return config


def metrics_of(session: Session, row: Row) -> dict[str, Any] | None:
    """What to log for a row that `session` has already taken in, None for nothing.

    Each trial gives exactly one entry: with its score, or with its outcome when it has none. A trial that was
    interrupted gives none: it is not a result and is run again under another name.
    """
    kind = row.get("kind")
    if kind == "scored" and row.get("status") != "infra_failed":
        return _trial(session, row)
    if kind == "trial_finished" and row.get("outcome") not in ("completed", "infra_failed"):
        return _trial(session, row)
    if kind == "decided":
        return _decision(session, row)
    return None


def _trial(session: Session, row: Row) -> dict[str, Any]:
    trial = next(each for each in reversed(session.trials) if each.trial_id == str(row.get("trial_id", "?")))
    found: dict[str, Any] = {
        "trial/id": trial.trial_id,
        "trial/role": trial.role,
        "trial/seed": trial.seed,
        "trial/outcome": trial.outcome,
        "trial/billed_seconds": trial.billed_seconds,
        "trial/wall_seconds": trial.wall_seconds,
        "trial/peak_memory_mib": trial.peak_memory_bytes / 2**20,
        "trial/commit": trial.commit[:12],
        "trials": len(session.trials),
    }
    if trial.proposal is not None:
        found["proposal"] = trial.proposal
    for split, value in trial.values.items():
        found[f"score/{split}"] = value
        found[f"score/{trial.role}"] = value
    side = {f"side/{one_line(name, 60)}": value for name, value in trial.side.items() if _is_number(value)}
    return found | side


def _decision(session: Session, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {
        "proposal": int(row.get("proposal", 0)),
        "decision/kept": int(row.get("decision") == "keep"),
        "decision/reason": one_line(row.get("reason", ""), 80),
        "decision/category": one_line(row.get("category") or "", 40),
        "decision/title": one_line(session.proposal(int(row.get("proposal", 0))).title, 120),
        "keeps": len(session.keeps),
        "cost/dollars": session.dollars,
        "cost/tokens": session.tokens,
        "cost/trial_hours": session.trial_seconds() / 3600,
    }
    optional = {
        "decision/score": row.get("score"),
        "incumbent": session.incumbent_score,
        "claimed_gain": claimed_gain(session),
    }
    found |= {name: value for name, value in optional.items() if _is_number(value)}
    return found | {
        f"statistics/{name}": value
        for name, value in (row.get("statistics") or {}).items()
        if _is_number(value)
    }


def summary_of(session: Session) -> dict[str, Any]:
    """The session in a few numbers: what tables of runs are sorted by."""
    found: dict[str, Any] = {
        "proposals": len(session.decided),
        "keeps": len(session.keeps),
        "baseline": session.baseline_score,
        "incumbent": session.incumbent_score,
        "claimed_gain": claimed_gain(session),
        "isolation_certified": session.isolation_certified,
        "ended": one_line(session.ended.get("reason", ""), 120),
    }
    for key in ("gain", "low", "high", "p"):
        if session.certificate.get(key) is not None:
            found[f"certificate/{key}"] = number(session.certificate[key])
    if session.certificate:
        found["certificate/passed"] = bool(session.certificate.get("passed"))
    return {name: value for name, value in found.items() if value is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
