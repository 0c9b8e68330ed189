"""Every proposal of the report: what was meant, what was changed, what the referee saw and said."""

from harness.ledger.record_parts import ProposalRecord, TrialRecord
from harness.ledger.rows import VerdictRow
from harness.ledger.session_record import SessionRecord
from harness.records import Judgement
from harness.report.charts.curves import curves_chart
from harness.report.escape import as_html
from harness.report.html.pieces import diff, fold, pre, section, table
from harness.report.html.transcripts import page_name, transcript_of
from harness.report.words import CANNOT_TELL, duration, score_text, why

MOST_DIFF_CHARACTERS = 3_000_000  # of all diffs on a page together; keeps come first


def proposals(session: SessionRecord) -> str:
    """One fold a proposal; keeps are unfolded by nobody but the reader."""
    left = MOST_DIFF_CHARACTERS
    shown: set[int] = set()
    for proposal in sorted(session.proposals.values(), key=lambda each: (not each.kept, each.number)):
        left -= len(proposal.answer.patch)
        if left >= 0:
            shown.add(proposal.number)
    folds = [
        fold(summary(proposal), body(session, proposal, proposal.number in shown), "proposal")
        for proposal in session.proposals.values()
    ]
    return section("Proposals", *folds, about="Open one for its diff, its trials and every verdict.")


def summary(proposal: ProposalRecord) -> str:
    """Its line: number, what became of it, score, what it is and why it went as it did."""
    status = proposal.status or "open"
    word = status if status in ("keep", "discard", "crash", "open") else "discard"
    level = proposal.level if proposal.level not in ("", "keep") else CANNOT_TELL if proposal.untold else ""
    return (
        f'<span class="number">{proposal.number}</span><span class="decision {word}">{word}</span>'
        f'<span class="score">{score_text(proposal.score)}</span><span class="what">'
        f"{as_html(proposal.title or proposal.problem or '(no rationale)', 200)}"
        f'<span class="why">{as_html(": ".join(filter(None, (level, why(proposal)))), 260)}</span></span>'
    )


def body(
    session: SessionRecord, proposal: ProposalRecord, with_diff: bool = True, transcript: bool = True
) -> str:
    """All that is known of it. with_diff=False names the file that holds the diff instead.

    transcript: whether the page of its transcript, which lies beside a report, is linked to.
    """
    patch = (
        diff(proposal.answer.patch)
        if with_diff
        else f"<p>The diff is in patches/{proposal.number:04d}.patch.</p>"
    )
    parts = (_words(proposal, transcript), patch, _trials(proposal.trials), curves_chart(session, proposal))
    return "".join((*parts, _verdicts(proposal), _statistics(proposal)))


def _words(proposal: ProposalRecord, transcript: bool) -> str:
    parts = []
    if proposal.answer.hypothesis:
        parts.append(f"<p><b>Expected:</b> {as_html(proposal.answer.hypothesis, 2000)}</p>")
    if " ".join(proposal.rationale.split()) != proposal.title or len(proposal.title) > 200:
        parts.append(pre(proposal.rationale, 6000))
    if proposal.problem:
        parts.append(f"<p><b>Problem:</b> {as_html(proposal.problem, 1000)}</p>")
    facts = [f"commit <code>{as_html(proposal.commit, 40)}</code>"] if proposal.commit else []
    facts += [f"in doubt: {as_html(text, 300)}" for text in proposal.doubts]
    facts += [f"class {as_html(proposal.ruling.category, 40)}"] if proposal.ruling.category else []
    facts += (
        [f"size {as_html(proposal.ruling.complexity, 20)}"] if proposal.ruling.complexity is not None else []
    )
    facts += [f"${proposal.usage.dollars:.3f}"] if proposal.usage.dollars else []
    facts += [f"{duration(proposal.ruling.gpu_seconds)} billed"] if proposal.ruling.gpu_seconds else []
    if transcript and transcript_of(proposal):
        facts += [f'<a href="{as_html(page_name(proposal), 200)}">transcript</a>']
    return "".join(parts) + (f'<p class="soft">{" · ".join(facts)}</p>' if facts else "")


def _trials(trials: list[TrialRecord]) -> str:
    headings = ("trial", "role", "seed", "outcome", "score", "billed s", "memory MiB", "claims")
    rows = [
        (
            trial.trial_id,
            trial.role,
            trial.seed,
            " ".join(
                filter(None, (trial.outcome or "never finished", trial.measured.reason, _score_reason(trial)))
            ),
            score_text(trial.value),
            f"{trial.measured.billed_seconds:.1f}",
            f"{trial.measured.peak_memory_bytes / 2**20:.0f}",
            _claims(trial),
        )
        for trial in trials
    ]
    logs = [
        trial for trial in trials if trial.outcome in ("crashed", "timed_out") and trial.measured.log.strip()
    ]
    tails = "".join(
        fold(f"log of {as_html(trial.trial_id, 40)}", pre(trial.measured.log[-4000:])) for trial in logs[-1:]
    )
    return table(headings, rows, (2, 4, 5, 6)) + tails


def _claims(trial: TrialRecord) -> str:
    """Numbers that its program told; the curve is drawn below."""
    told = [(key, value) for key, value in trial.measured.claims.items() if key != "curve"]
    return ", ".join(f"{key} {value}" for key, value in told[:4])[:120]


def _score_reason(trial: TrialRecord) -> str:
    return trial.scored.reason if trial.scored else ""


def _verdicts(proposal: ProposalRecord) -> str:
    """Those that say something; the others on demand."""
    quiet = [each for each in proposal.verdicts if each.judgement is Judgement.ACCEPT and not each.doubts]
    loud = [each for each in proposal.verdicts if each not in quiet]
    return _verdict_table(loud) + (
        fold(f"{len(quiet)} verdicts that accept", _verdict_table(quiet)) if quiet else ""
    )


def _verdict_table(verdicts: list[VerdictRow]) -> str:
    rows = [(each.guard, each.stage, each.judgement.value, each.reason, each.message) for each in verdicts]
    return table(("guard", "stage", "verdict", "reason", "message"), rows)


def _statistics(proposal: ProposalRecord) -> str:
    numbers = proposal.ruling.statistics
    if not numbers:
        return ""
    said = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
    return f'<p class="soft">keep rule: {as_html(said, 1000)}</p>'
