"""What a process beside the session does all the time: waits for rows, and for the session to close its input."""

import os
import select
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.ledger.reading import LEDGER, Tail
from harness.ledger.record_parts import moment
from harness.ledger.rows import CertificateRow, DecidedRow, Row, SessionEndedRow, SettledRow
from harness.ledger.session_record import SessionRecord
from harness.records import Decision, Role
from harness.report.charts.curves import curve_of
from harness.report.trackers.beside import ADDRESS

_LOOK_SECONDS = 1.0


def followed(folder: Path) -> Iterator[tuple[SessionRecord, Row]]:
    """Every row with the record that has just taken it in, until the session has ended and all is read."""
    tail, session, done = Tail(folder / LEDGER), SessionRecord(), False
    while True:
        for row in tail.rows():
            session.add(row)
            yield session, row
        if done:
            return
        done = _parent_is_done()


def _parent_is_done() -> bool:
    """Waits a moment; True once the session has closed our standard input, or is gone."""
    readable, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1024)


def is_turn(row: Row) -> bool:
    """Whether the progress chart is worth drawing again for people: a keep, a step, the certificate, the end."""
    kept = isinstance(row, DecidedRow) and row.decision is Decision.KEEP
    return kept or isinstance(row, SettledRow | CertificateRow | SessionEndedRow)


def told_curves(session: SessionRecord, row: Row) -> dict[str, list[float]]:
    """Claimed curves by trial, to be shown with this row: a keep's last trial; with the first keep a baseline's."""
    if not (isinstance(row, DecidedRow) and row.decision is Decision.KEEP):
        return {}
    trials = session.proposal(row.proposal).candidate_trials[-1:]
    if sum(proposal.decision is Decision.KEEP for proposal in session.decided) == 1:
        trials = [*session.trials_by_role[Role.BASELINE][:1], *trials]
    return {trial.trial_id: curve for trial in trials if len(curve := curve_of(trial)) > 1}


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of a configuration."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def seconds_of(row: Row) -> float:
    """When it was written, in seconds since 1970."""
    found = moment(row.time)
    return found.timestamp() if found else 0.0


def say_address(home: Path, text: str) -> None:
    """What the session prints at its end."""
    (home / ADDRESS).write_text(text + "\n", encoding="utf-8")
