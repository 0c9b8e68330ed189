"""Every proposal of the report: what was meant, what was changed, what the referee saw and said."""

from harness.ledger.record_parts import Proposal, Trial, number
from harness.ledger.session_record import Session
from harness.report.escape import as_html
from harness.report.html.pieces import diff, fold, pre, section, table
from harness.report.words import duration, score_text, why

MOST_DIFF_CHARACTERS = 3_000_000  # of all diffs on a page together; keeps come first


def proposals(session: Session) -> str:
    """One fold a proposal; keeps are unfolded by nobody but the reader."""
    left = MOST_DIFF_CHARACTERS
    shown: set[int] = set()
    for proposal in sorted(session.proposals.values(), key=lambda each: (not each.kept, each.number)):
        left -= len(proposal.patch)
        if left >= 0:
            shown.add(proposal.number)
    folds = [_fold(proposal, proposal.number in shown) for proposal in session.proposals.values()]
    return section("Proposals", *folds, about="Open one for its diff, its trials and every verdict.")


def _fold(proposal: Proposal, with_diff: bool) -> str:
    status = proposal.status or "open"
    word = status if status in ("keep", "discard", "crash", "open") else "discard"
    summary = (
        f'<span class="number">{proposal.number}</span><span class="decision {word}">{word}</span>'
        f'<span class="score">{score_text(proposal.score)}</span><span class="what">'
        f"{as_html(proposal.title or proposal.problem or '(no rationale)', 200)}"
        f'<span class="why">{as_html(why(proposal), 240)}</span></span>'
    )
    patch = (
        diff(proposal.patch) if with_diff else f"<p>The diff is in patches/{proposal.number:04d}.patch.</p>"
    )
    body = "".join(
        (_words(proposal), patch, _trials(proposal.trials), _verdicts(proposal), _statistics(proposal))
    )
    return fold(summary, body, "proposal")


def _words(proposal: Proposal) -> str:
    parts = []
    if proposal.hypothesis:
        parts.append(f"<p><b>Expected:</b> {as_html(proposal.hypothesis, 2000)}</p>")
    if " ".join(proposal.rationale.split()) != proposal.title or len(proposal.title) > 200:
        parts.append(pre(proposal.rationale, 6000))
    if proposal.problem:
        parts.append(f"<p><b>Problem:</b> {as_html(proposal.problem, 1000)}</p>")
    facts = [f"commit <code>{as_html(proposal.commit, 40)}</code>"] if proposal.commit else []
    facts += [f"class {as_html(proposal.category, 40)}"] if proposal.category else []
    facts += [f"size {as_html(proposal.complexity, 20)}"] if proposal.complexity is not None else []
    facts += (
        [f"${number(proposal.usage.get('dollars')):.3f}"] if number(proposal.usage.get("dollars")) else []
    )
    facts += [f"{duration(proposal.gpu_seconds)} billed"] if proposal.gpu_seconds else []
    return "".join(parts) + (f'<p class="soft">{" · ".join(facts)}</p>' if facts else "")


def _trials(trials: list[Trial]) -> str:
    headings = ("trial", "role", "seed", "outcome", "score", "billed s", "memory MiB", "claims")
    rows = [
        (
            trial.trial_id,
            trial.role,
            trial.seed,
            " ".join(filter(None, (trial.outcome or "never finished", trial.reason, trial.score_reason))),
            score_text(trial.value),
            f"{trial.billed_seconds:.1f}",
            f"{trial.peak_memory_bytes / 2**20:.0f}",
            ", ".join(f"{key} {value}" for key, value in list(trial.claims.items())[:4])[:120],
        )
        for trial in trials
    ]
    logs = [trial for trial in trials if trial.outcome in ("crashed", "timed_out") and trial.log.strip()]
    tails = "".join(
        fold(f"log of {as_html(trial.trial_id, 40)}", pre(trial.log[-4000:])) for trial in logs[-1:]
    )
    return table(headings, rows, (2, 4, 5, 6)) + tails


def _verdicts(proposal: Proposal) -> str:
    rows = [
        tuple(str(verdict.get(key) or "") for key in ("guard", "stage", "judgement", "reason", "message"))
        for verdict in proposal.verdicts
    ]
    return table(("guard", "stage", "verdict", "reason", "message"), rows)


def _statistics(proposal: Proposal) -> str:
    numbers = {key: value for key, value in proposal.statistics.items() if isinstance(value, int | float)}
    if not numbers:
        return ""
    said = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
    return f'<p class="soft">keep rule: {as_html(said, 1000)}</p>'
