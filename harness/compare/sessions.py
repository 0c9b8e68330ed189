"""Sessions of a sweep as one line of numbers each, sorted into arms. Reads ledgers and the sweep's record."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.compare.statistics import Gain
from harness.ledger.reading import session_folders
from harness.ledger.record_parts import number
from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord, begun
from harness.ledger.sweep_record import read as read_record
from harness.report.analysis import claimed_gain

# Chance that a change without effect is kept; others: keep.alpha.
_FALSE_KEEPS = {"greedy": 0.5, "strict": 0.01}


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session. status: ended | open | failed. gain: certified, 0 when nothing was kept (there is no change) or
    the arm failed, None when keeps were never certified. relative: gain as a share of the baseline.

    hours: of trials in the search. steps: (hours until then, claimed gain) at every keep. false_keeps: at most so
    many of the keeps are expected to be chance.
    """

    arm: str
    choices: Mapping[str, str]
    folder: Path
    task: str
    repeat: str
    status: str
    gain: float | None
    error: float
    relative: float | None
    claimed: float
    keeps: int
    tested: int
    false_keeps: float
    hours: float
    dollars: float
    steps: tuple[tuple[float, float], ...]
    passed: bool
    unit: str
    isolation_certified: bool
    note: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is evidence: ended or failed, with a gain."""
        return self.status != "open" and self.gain is not None


def results(folder: Path, left_out: Callable[[Path], object] = lambda _: None) -> list[SessionResult]:
    """Every session in or below the folder that has begun, and every arm of its sweep that failed without one.

    left_out: told of sessions that have not begun. Raises LedgerError.
    """
    found: list[tuple[Path, SessionRecord]] = []
    for each in session_folders(folder):
        session = begun(each)
        if session is None:
            left_out(each)
        else:
            found.append((each, session))
    record = read_record(folder)
    named: dict[str, dict[str, Any]] = next(
        (row.get("arms", {}) for row in record if row.get("kind") == "sweep_started"), {}
    )
    failed = {
        str(row["arm"]): row for row in record if row.get("kind") == "arm_ended" and row.get("code") != 0
    }
    for row in record:
        if row.get("kind") == "arm_ended" and row.get("code") == 0:
            failed.pop(str(row["arm"]), None)
    choices = [_choices(each, session, folder, named) for each, session in found]
    distinct = {key for key in {k for c in choices for k in c} if len({c.get(key) for c in choices}) > 1}
    distinct |= {key for arm in named.values() for key in arm}
    rows = [
        _result(each, session, chosen, distinct, failed)
        for (each, session), chosen in zip(found, choices, strict=True)
    ]
    seen = {row.folder.relative_to(folder).parts[0] for row in rows if row.folder != folder}
    tasks = Counter(row.task for row in rows).most_common(1)
    task = tasks[0][0] if tasks else ""  # of an arm that failed before it wrote a row, unless its choices say
    rows += [
        _failure(folder / arm, {"task": task, **named[arm]}, row)
        for arm, row in failed.items()
        if arm in named and arm not in seen
    ]
    return rows


def _choices(each: Path, session: SessionRecord, folder: Path, named: Mapping[str, Any]) -> dict[str, str]:
    """What the sweep chose for it, or else the choices that its ledger names."""
    arm = each.relative_to(folder).parts[0] if each != folder else ""
    if arm in named:
        return {str(key): str(value) for key, value in named[arm].items()}
    chosen = {str(key): str(value) for key, value in session.started.choices.items()}
    return chosen | {"repeat": _repeat(session)}


def _repeat(session: SessionRecord) -> str:
    return str(session.started.config.get("repeat", 0))


def label(choices: Mapping[str, str], distinct: set[str] | None = None) -> str:
    """Name of an arm: what tells it from the others, but for the task and the repeat."""
    keys = [key for key in choices if key not in ("task", "repeat") and (distinct is None or key in distinct)]
    return " ".join(f"{key}={choices[key]}" for key in keys) or "all sessions"


def _result(
    folder: Path,
    session: SessionRecord,
    choices: Mapping[str, str],
    distinct: set[str],
    failed: Mapping[str, Mapping[str, Any]],
) -> SessionResult:
    reason = next((row for arm, row in failed.items() if arm in folder.parts), None)
    status = "failed" if reason else ("ended" if session.ended else "open")
    gain, error = _certified(session)
    if reason and gain is None:
        gain = 0.0
    baseline = _baseline(session)
    tested = sum(any(trial.value is not None for trial in p.candidate_trials) for p in session.decided)
    return SessionResult(
        arm=label(choices, distinct),
        choices=choices,
        folder=folder,
        task=session.started.task or "?",
        repeat=str(choices.get("repeat", _repeat(session))),
        status=status,
        gain=gain,
        error=error,
        relative=gain / abs(baseline) if gain is not None and baseline else None,
        claimed=(claimed_gain(session) or 0.0) if session.keeps else 0.0,
        keeps=len(session.keeps),
        tested=tested,
        false_keeps=min(float(len(session.keeps)), _alpha(session) * tested),
        hours=session.trial_seconds(certificate=False) / 3600,
        dollars=session.dollars,
        steps=_steps(session),
        passed=session.certificate is not None and session.certificate.passed,
        unit=session.unit,
        isolation_certified=session.isolation_certified,
        note=str(reason.get("error", "")) if reason else "",
    )


def _certified(session: SessionRecord) -> tuple[float | None, float]:
    """Gain and its standard error. A head that failed its fresh trials has no gain that could be certified: 0."""
    row = session.certificate
    if not session.keeps:
        return 0.0, 0.0
    if row is None:
        return None, 0.0
    if row.gain is None or row.high is None:
        return 0.0, 0.0
    from scipy.special import stdtrit

    half = row.high - row.gain
    return row.gain, abs(half) / float(stdtrit(row.df, 0.5 + row.confidence / 2))


def _baseline(session: SessionRecord) -> float | None:
    row = session.certificate or CertificateRow()
    sealed = [value for value in row.baseline_scores if value is not None]
    return sum(sealed) / len(sealed) if sealed else session.baseline_score


def _alpha(session: SessionRecord) -> float:
    rule = session.started.choices.get("keep", "")
    node = session.started.config.get("keep")
    configured = node.get("alpha") if isinstance(node, dict) else None
    return number(configured, _FALSE_KEEPS.get(rule, 0.05))


def _steps(session: SessionRecord) -> tuple[tuple[float, float], ...]:
    """Hours that trials had taken when each keep was decided, and the gain claimed by then."""
    spent, found, baseline = 0.0, [], session.baseline_score
    finished = [trial.finish for trial in session.trials if trial.finish]
    for keep in session.keeps:
        spent = sum(row.wall_seconds for row in finished if row.seq < keep.ruling.seq)
        if keep.score is not None and baseline is not None:
            found.append((spent / 3600, session.sign * (keep.score - baseline)))
    return tuple(found)


def _failure(folder: Path, choices: Mapping[str, Any], row: Mapping[str, Any]) -> SessionResult:
    plain = {str(key): str(value) for key, value in choices.items()}
    return SessionResult(
        arm=label(plain), choices=plain, folder=folder, task=plain.get("task", ""), repeat=plain.get("repeat", "0"),
        status="failed", gain=0.0, error=0.0, relative=0.0, claimed=0.0, keeps=0, tested=0, false_keeps=0.0,
        hours=0.0, dollars=0.0, steps=(), passed=False, unit="", isolation_certified=True,
        note=str(row.get("error", "")),
    )  # fmt: skip


def arms_of(rows: Sequence[SessionResult]) -> dict[str, list[SessionResult]]:
    """Arm -> its sessions, in the order of first appearance."""
    found: dict[str, list[SessionResult]] = {}
    for row in rows:
        found.setdefault(row.arm, []).append(row)
    return found


def gains(rows: Sequence[SessionResult], relative: bool) -> list[Gain]:
    """Of the sessions that count. relative: as shares of the baseline, for several tasks with their own units."""
    found = []
    for row in rows:
        value = row.relative if relative else row.gain
        if row.counts and value is not None:
            scale = value / row.gain if row.gain and relative else 1.0
            found.append(Gain(value, row.error * abs(scale), row.task, row.repeat))
    return found


def hours_to_target(row: SessionResult, target: float) -> float | None:
    """Trial hours until the claimed gain reached the target; None if it never did."""
    return next((hours for hours, gain in row.steps if gain >= target), None)
