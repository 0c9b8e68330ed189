"""Trials and proposals as data frames: trials.csv, proposals.csv, and Parquet where a writer is installed."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.ledger.record_parts import ProposalRecord, TrialRecord
from harness.ledger.session_record import SessionRecord
from harness.report.escape import one_line, table_cell

if TYPE_CHECKING:
    import pandas

_STARTED = ("trial_id", "role", "commit", "proposal", "seed", "attempt")
_MEASURED = (
    "reason", "billed_seconds", "startup_seconds", "wall_seconds", "cpu_seconds", "peak_memory_bytes",
    "artefact_sha256", "cache", "preparation_seconds",
)  # fmt: skip
_RULING = ("reason", "message", "category", "complexity", "score", "incumbent_score", "gpu_seconds")

_CELL = 600  # characters; longer texts were cut before


def trials_frame(session: SessionRecord) -> "pandas.DataFrame":
    """One row a start of a trial, in order. `val` and `test` are scores; side metrics are `side.<name>`."""
    import pandas

    frame = pandas.DataFrame([_trial_row(trial) for trial in session.trials])
    for column in ("proposal", "seed"):
        if column in frame:
            frame[column] = frame[column].astype("Int64")
    return frame


def _trial_row(trial: TrialRecord) -> dict[str, Any]:
    score = trial.scored
    row: dict[str, Any] = {name: getattr(trial.start, name) for name in _STARTED}
    row |= {name: _plain(getattr(trial.measured, name)) for name in _MEASURED}
    row |= {"outcome": str(trial.outcome or ""), "started": trial.start.time}
    row |= {"status": score.status if score else "", "score_seconds": score.seconds if score else 0.0}
    row |= {"val": trial.values.get("val"), "test": trial.values.get("test")}
    return row | {f"side.{one_line(name, 60)}": value for name, value in trial.side.items()}


def proposals_frame(session: SessionRecord) -> "pandas.DataFrame":
    """One row a proposal, in order."""
    import pandas

    frame = pandas.DataFrame([_proposal_row(proposal) for proposal in session.proposals.values()])
    if "certified_step" in frame:
        frame["certified_step"] = frame["certified_step"].astype("Int64")
    return frame


def _proposal_row(proposal: ProposalRecord) -> dict[str, Any]:
    row: dict[str, Any] = {"number": proposal.number, "status": proposal.status}
    row |= {"commit": proposal.commit, "parent": proposal.answer.parent}
    row |= {"decision": str(proposal.decision or ""), "level": proposal.level}
    row["certified_step"] = proposal.certified_step
    row |= {name: _plain(getattr(proposal.ruling, name)) for name in _RULING}
    row["problem"] = _plain(proposal.problem)
    row["title"] = one_line(proposal.title, 300)
    row["trials"] = len(proposal.candidate_trials)
    row |= {f"usage.{name}": value for name, value in asdict(proposal.usage).items()}
    return row | {f"statistics.{name}": value for name, value in proposal.ruling.statistics.items()}


def _plain(value: Any) -> Any:
    """Text of agents on one line: a CSV then has one line a row."""
    return one_line(value, 500) if isinstance(value, str) else value


def _inert(frame: "pandas.DataFrame") -> "pandas.DataFrame":
    """Texts and names of columns in which no spreadsheet finds a formula."""
    texts = frame.map(lambda value: table_cell(value, _CELL) if isinstance(value, str) else value)
    return texts.rename(columns=lambda name: table_cell(name, _CELL))


def write_tables(session: SessionRecord, folder: Path) -> list[Path]:
    """The files that were written. Parquet is left out where neither pyarrow nor fastparquet is installed."""
    written = []
    for name, frame in (("trials", trials_frame(session)), ("proposals", proposals_frame(session))):
        file = folder / f"{name}.csv"
        _inert(frame).to_csv(file, index=False)
        written.append(file)
        try:
            frame.to_parquet(file.with_suffix(".parquet"), index=False)
        except ImportError:
            continue
        written.append(file.with_suffix(".parquet"))
    return written
