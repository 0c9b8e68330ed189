"""Plain output: one line an event, for logs and pipes; and the table at the end. Pure."""

from collections.abc import Sequence
from pathlib import Path

from harness.ledger.ahead import STOPPED
from harness.ledger.record_parts import plain_mapping
from harness.ledger.rows import (
    AblationRow,
    DecidedRow,
    NoticeRow,
    ProposedRow,
    Row,
    ScoredRow,
    SessionEndedRow,
    SessionResumedRow,
    SessionStartedRow,
    SettledRow,
    TransferRow,
    TrialFinishedRow,
    TrialStartedRow,
    VerdictRow,
)
from harness.ledger.session_record import SessionRecord
from harness.records import Action, Judgement, Outcome
from harness.report.escape import one_line
from harness.report.words import (
    certificate_lines,
    cost_text,
    duration,
    limit_text,
    mean_text,
    score_text,
    time_lines,
    title,
    transfer_lines,
    trial_time,
    verdict,
    why,
)
from harness.task.waiting import BEFORE_FIRST

LONG_SECONDS = 20.0  # a trial that may take longer is announced: nobody shall wonder what goes on
PLAN = "plan: "  # how notices of what to expect begin
HEADINGS = ("proposal", "decision", "score", "rationale", "reason")


def event_line(session: SessionRecord, row: Row) -> str:
    """The line for a row that `session` has already taken in; "" for rows that are not worth one."""
    match row:
        case SessionStartedRow():
            return title(session)
        case SessionResumedRow(interrupted=lost):
            return _resumed(session, lost)
        case ProposedRow():
            proposal = session.proposal(row.proposal)
            about = proposal.title or proposal.problem or "(no rationale)"
            return f"proposal {proposal.number}: {one_line(about, 200)}"
        case TrialStartedRow() if _is_first(session, row):
            return one_line(f"trial {row.trial_id} is being made {BEFORE_FIRST}", 200)
        case TrialStartedRow() if row.clock.seconds + row.clock.startup_seconds >= LONG_SECONDS:
            return one_line(
                f"trial {row.trial_id} ({row.role}) started: at most {limit_text(row.clock)}", 140
            )
        case TrialFinishedRow(outcome=Outcome.INFRA_FAILED, reason=reason) if reason == STOPPED:
            return one_line(f"trial {row.trial_id}: stopped, it will be run again", 140)
        case TrialFinishedRow() if row.outcome is not Outcome.COMPLETED:
            took = duration(row.billed_seconds)
            return one_line(f"trial {row.trial_id}: {row.outcome} ({row.reason}) after {took}", 140)
        case ScoredRow():
            return _scored(session, row)
        case VerdictRow(judgement=Judgement.INCONCLUSIVE) if row.trials_wanted:
            return one_line(f"another trial before a keep: {row.message} ({row.reason})", 400)
        case VerdictRow() if row.judgement is not Judgement.ACCEPT:
            return one_line(f"guard {row.guard}: {row.judgement} ({row.reason}) {row.message}", 400)
        case DecidedRow():
            return _decided(session, row)
        case SettledRow():
            return _settled(row)
        case AblationRow():
            about = f"certified step {row.step}" if row.step else "everything that was kept"
            carry = [str(one.proposal) for one in row.changes if one.proposal and one.status == "carries"]
            return f"ablation of {about}: shown to carry it: {', '.join(carry) or 'no single change'}"
        case TransferRow():
            return one_line("; ".join(transfer_lines(row, session.unit)), 400)
        case NoticeRow():
            return one_line(row.text if row.text.startswith(PLAN) else f"notice: {row.text}", 400)
        case SessionEndedRow():
            return f"session ended: {one_line(row.reason, 200)}; {cost_text(session)}"
    return ""


def _is_first(session: SessionRecord, row: TrialStartedRow) -> bool:
    """Of a sitting: what is done once before it takes longer than a short trial, and nobody shall wonder."""
    warm = plain_mapping(session.started.config.get("sandbox")).get("warm", False)
    return bool(warm) and session.sitting_trials == 1 and session.trials[-1].start == row


def _resumed(session: SessionRecord, lost: Sequence[str]) -> str:
    """lost: trials that were under way when the harness died; those that it stopped in order come on top."""
    last = {trial.trial_id.partition("~")[0]: trial for trial in session.trials}
    stopped = {each.trial_id for each in last.values() if each.finish and each.finish.reason == STOPPED}
    count = len(stopped | {*lost})
    trials = "1 interrupted trial is" if count == 1 else f"{count} interrupted trials are"
    return f"resumed: {len(session.decided)} proposals decided, {trials} run again"


def table_rows(session: SessionRecord) -> list[tuple[str, ...]]:
    """One row a decided proposal, in the order of HEADINGS, escaped."""
    return [
        (
            str(proposal.number),
            verdict(proposal),
            score_text(proposal.score),
            one_line(proposal.title or proposal.problem, 200),
            why(proposal),
        )
        for proposal in session.decided
    ]


def final_lines(session: SessionRecord) -> list[str]:
    """The table of verdicts as text and the certificate's lines."""
    rows = table_rows(session)
    if not rows:
        return [*certificate_lines(session), *time_lines(session)]
    shown = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(HEADINGS) - 1)]
    table = [
        " | ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in shown
    ]
    rule = "-+-".join("-" * width for width in [*widths, len(HEADINGS[-1])])
    numbers = [*reference_lines(session), *certificate_lines(session), *time_lines(session)]
    return ["", table[0], rule, *table[1:], "", *numbers]


def reference_lines(session: SessionRecord) -> list[str]:
    """Baseline, incumbent and the task's reference scores in one line."""
    parts = [
        f"baseline {mean_text(session, session.baseline)}",
        f"incumbent {mean_text(session, session.incumbent)}",
    ]
    references = session.started.references
    parts += [f"{one_line(name, 30)} {score_text(value)}" for name, value in references.items()]
    return [f"{one_line(session.metric, 30)} on val: {', '.join(parts)}; {cost_text(session)}"]


def _scored(session: SessionRecord, row: ScoredRow) -> str:
    trial = session.trial(row.trial_id)
    billed = trial is not None and trial.measured.billed_seconds > 0
    took = f" in {trial_time(trial.measured, trial.start.clock)}" if trial and billed else ""
    if row.status == "scored":
        return one_line(f"trial {row.trial_id}: {session.metric} {score_text(row.value)}{took}", 140)
    return one_line(f"trial {row.trial_id}: {row.status} ({row.reason})", 140)


def _settled(row: SettledRow) -> str:
    numbers = ", ".join(str(number) for number in row.keeps)
    word = "CERTIFIED STEP" if row.action is Action.CERTIFY else "ROLLED BACK"
    return one_line(f"race {row.race}: {word}, proposals {numbers} ({row.message or row.reason})", 200)


def _decided(session: SessionRecord, row: DecidedRow) -> str:
    proposal = session.proposal(row.proposal)
    score = f" {session.metric} {score_text(row.score)}" if row.score is not None else ""
    return one_line(f"proposal {proposal.number}: {verdict(proposal)}{score} ({why(proposal)})", 400)


def next_lines(session: SessionRecord, folder: Path) -> list[str]:
    """Where everything is and what can be typed now: said when a session begins and when it ends."""
    if session.ended is None:
        start = [f"session folder: {folder}", f"look on from elsewhere: harness watch {folder}"]
        return [*start, "what a word below means: harness glossary"]
    lines = [f"session folder: {folder}", f"next: harness report {folder}"]
    return [*lines, f"      harness diff {folder}"] if session.keeps else lines


def paused_lines(folder: Path) -> list[str]:
    """The same for a session that stopped before its end."""
    return [f"session folder: {folder}", f"next: harness resume {folder}"]


def stamped(session: SessionRecord, row: Row) -> str:
    """The line of a row with its time; "" for rows that are not worth one."""
    line = event_line(session, row)
    return f"{row.time[11:19]} {line}".lstrip() if line else ""


def now_line(session: SessionRecord) -> str:
    """What goes on while nothing is written: which trial since when, or who is waited for."""
    if session.under_way:
        trial = list(session.under_way.values())[-1]
        return one_line(f"trial {trial.trial_id} ({trial.role}) since {trial.start.time[11:19]}", 140)
    if session.thinking:
        return f"the agent works on proposal {session.asked}"
    return f"between two trials since {session.clock.last_time[11:19]}"


def doing(last: Row | None) -> str:
    """What goes on between two trials, after the last row."""
    match last:
        case None | SessionStartedRow() | SessionResumedRow():
            return "getting ready for the first trial"
        case TrialFinishedRow(outcome=Outcome.COMPLETED):
            return f"scoring trial {one_line(last.trial_id, 30)}"
        case TrialFinishedRow() | ScoredRow():
            return f"weighing trial {one_line(last.trial_id, 30)}"
        case ProposedRow() | VerdictRow():
            return f"guards look at proposal {last.proposal}"
        case DecidedRow() | SettledRow():
            return "asking for the next proposal"
    return "between two trials"
