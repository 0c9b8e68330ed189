"""Plain output: one line an event, for logs and pipes; and the table at the end. Pure."""

from harness.ledger.record_parts import Row, number
from harness.ledger.session_record import Session
from harness.report.escape import one_line
from harness.report.words import certificate_lines, cost_text, duration, score_text, title, why

HEADINGS = ("proposal", "decision", "reason", "score", "rationale")


def event_line(session: Session, row: Row) -> str:
    """The line for a row that `session` has already taken in; "" for rows that are not worth one."""
    speak = _SPEAKERS.get(str(row.get("kind", "")))
    return speak(session, row) if speak is not None else ""


def table_rows(session: Session) -> list[tuple[str, ...]]:
    """One row a decided proposal, in the order of HEADINGS, escaped."""
    return [
        (
            str(proposal.number),
            one_line(proposal.decision, 10),
            why(proposal),
            score_text(proposal.score),
            one_line(proposal.title or proposal.problem, 80),
        )
        for proposal in session.decided
    ]


def final_lines(session: Session) -> list[str]:
    """The table of verdicts as text and the certificate's lines."""
    rows = table_rows(session)
    if not rows:
        return [*certificate_lines(session)]
    shown = [HEADINGS, *[(*row[:2], one_line(row[2], 60), *row[3:]) for row in rows]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(HEADINGS) - 1)]
    table = [
        " | ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in shown
    ]
    rule = "-+-".join("-" * width for width in [*widths, len(HEADINGS[-1])])
    return ["", table[0], rule, *table[1:], "", *reference_lines(session), *certificate_lines(session)]


def reference_lines(session: Session) -> list[str]:
    """Baseline, incumbent and the task's reference scores in one line."""
    parts = [
        f"baseline {score_text(session.baseline_score)}",
        f"incumbent {score_text(session.incumbent_score)}",
    ]
    references = session.started.get("references") or {}
    parts += [f"{one_line(name, 30)} {score_text(number(value))}" for name, value in references.items()]
    return [f"{one_line(session.metric, 30)} on val: {', '.join(parts)}; {cost_text(session)}"]


def _started(session: Session, _row: Row) -> str:
    return title(session)


def _resumed(session: Session, row: Row) -> str:
    lost = len(row.get("interrupted") or [])
    return f"resumed: {len(session.decided)} proposals decided, {lost} interrupted trials are run again"


def _proposed(session: Session, row: Row) -> str:
    proposal = session.proposal(int(row.get("proposal", 0)))
    about = proposal.title or proposal.problem or "(no rationale)"
    return f"proposal {proposal.number}: {one_line(about, 100)}"


def _finished(_session: Session, row: Row) -> str:
    if row.get("outcome") == "completed":
        return ""
    took = duration(number(row.get("billed_seconds")))
    words = f"{row.get('outcome')} ({row.get('reason')}) after {took}"
    return one_line(f"trial {row.get('trial_id')}: {words}", 140)


def _scored(session: Session, row: Row) -> str:
    trial = next((t for t in reversed(session.trials) if t.trial_id == row.get("trial_id")), None)
    took = f" in {duration(trial.billed_seconds)}" if trial and trial.billed_seconds else ""
    if row.get("status") == "scored":
        return one_line(
            f"trial {row.get('trial_id')}: {session.metric} {score_text(number(row.get('value')))}{took}", 140
        )
    return one_line(f"trial {row.get('trial_id')}: {row.get('status')} ({row.get('reason')})", 140)


def _verdict(_session: Session, row: Row) -> str:
    if row.get("judgement") == "accept":
        return ""
    words = f"{row.get('judgement')} ({row.get('reason')}) {row.get('message') or ''}"
    return one_line(f"guard {row.get('guard')}: {words}", 160)


def _decided(session: Session, row: Row) -> str:
    proposal = session.proposal(int(row.get("proposal", 0)))
    score = f" {session.metric} {score_text(proposal.score)}" if proposal.score is not None else ""
    word = "KEEP" if proposal.kept else proposal.decision
    return one_line(f"proposal {proposal.number}: {word}{score} ({why(proposal)})", 200)


def _notice(_session: Session, row: Row) -> str:
    return f"notice: {one_line(row.get('text', ''), 300)}"


def _ended(session: Session, row: Row) -> str:
    return f"session ended: {one_line(row.get('reason', ''), 100)}; {cost_text(session)}"


_SPEAKERS = {
    "session_started": _started,
    "session_resumed": _resumed,
    "proposed": _proposed,
    "trial_finished": _finished,
    "scored": _scored,
    "verdict": _verdict,
    "decided": _decided,
    "notice": _notice,
    "session_ended": _ended,
}
