"""What a recorded night claimed of its changes, beside what fresh trials of them gave here.

The claim is the number that the checkout's own evaluation printed when the change was made: one trial, one seed, scored
by the script itself. It is read from the series that `harness adopt` wrote, never from a trial's output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.ledger.record_parts import ProposalRecord, TrialRecord, number
from harness.ledger.session_record import SessionRecord
from harness.records import Direction
from harness.report.html.pieces import Cell, section, table
from harness.report.words import counted, score_text, shift_text, signed, verdict, why

AS_PRINTED = (
    "bpb_as_printed"  # side metric of adopted tasks: the checkout's own count of bytes, the same answers
)
KERNELS = "kernels_stand_in"  # claim of adopted tasks: torch's attention stood in for the kernels that were asked for

_CARRIED = {  # as agents.controls.replay says it
    "merged": "; merged into other files than it was made on",
    "whole": "; the whole file of then, with what is not kept here: claim and gain since the last keep",
}


@dataclass(frozen=True, slots=True)
class ClaimedTable:
    """What the page and the Markdown say alike. numeric: columns that hold numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: range
    about: str


def claimed(session: SessionRecord) -> str:
    """A section of the page; "" for tasks without claims."""
    found = claimed_table(session)
    if found is None:
        return ""
    shown = table(found.headings, found.rows, found.numeric) or " "
    return section(found.title, shown, about=found.about)


def claimed_table(session: SessionRecord) -> ClaimedTable | None:
    """A row a proposal that came with a claim; the notes alone where none did; nothing for other tasks."""
    recorded = [each for each in session.proposals.values() if _claim(each, "claimed") is not None]
    notes = [*_byte_note(session.trials), *_kernel_note(session.trials)]
    if not recorded and not notes:
        return None
    printed = any(AS_PRINTED in trial.side for trial in session.trials)
    headings = [
        "",
        "change",
        "claimed",
        "claimed gain",
        f"{session.metric} here",
        "gain here",
        "trials",
        "outcome",
    ]
    if printed:
        headings.insert(4, "as they print it")
    rows = [_row(session, each, printed) for each in recorded]
    numeric = range(2, len(headings) - 1)
    said = [_summary(session, recorded)] if recorded else []
    title = "Claimed against measured again" if recorded else "Beside what the checkout prints"
    return ClaimedTable(title, headings, rows, numeric, " ".join([*said, *notes]))


def gains(session: SessionRecord, proposal: ProposalRecord) -> tuple[float | None, float | None]:
    """(claimed, measured), positive is better; None where one was not recorded or gave no score."""
    turned = -1.0 if session.direction is Direction.MAXIMIZE else 1.0
    new, old = _claim(proposal, "claimed"), _claim(proposal, "claimed_before")
    before = None if new is None or old is None else turned * (old - new)
    ruling = proposal.ruling
    if ruling.score is None or ruling.incumbent_score is None:
        return before, None
    return before, turned * (ruling.incumbent_score - ruling.score)


def _row(session: SessionRecord, proposal: ProposalRecord, printed: bool) -> Sequence[Cell]:
    before, here = gains(session, proposal)
    counting = proposal.counting_trials
    cells: list[Cell] = [
        proposal.number,
        proposal.title,
        score_text(_claim(proposal, "claimed")),
        "-" if before is None else signed(before),
        score_text(proposal.score),
        "-" if here is None else signed(here),
        _trials_text(len(counting), len(proposal.candidate_trials)),
        f"{verdict(proposal) or 'open'}: {why(proposal)}{_CARRIED.get(str(proposal.answer.state.get('carried')), '')}",
    ]
    if printed:
        values = [trial.side[AS_PRINTED] for trial in counting if AS_PRINTED in trial.side]
        cells.insert(4, score_text(sum(values) / len(values) if values else None))
    return cells


def _trials_text(counting: int, made: int) -> str:
    """Score and printed number are means of those that count; others were disturbed."""
    return str(made) if counting == made else f"{counting} of {made}"


def _claim(proposal: ProposalRecord, name: str) -> float | None:
    value = proposal.answer.state.get(name)
    return None if value is None else number(value)


def _summary(session: SessionRecord, recorded: Sequence[ProposalRecord]) -> str:
    claims = [before for before, _ in (gains(session, each) for each in recorded) if before is not None]
    kept = [each for each in recorded if each.kept]
    there = sum(here for _, here in (gains(session, each) for each in kept) if here is not None)
    whole = f", {signed(sum(claims))} together" if claims else ""
    held = f"{len(kept)} held up ({signed(there)} together)" if kept else "none held up"
    return (
        f"{counted(len(recorded), 'change')} of a recorded night, each claimed on one trial that scored itself{whole}."
        f" Measured again on fresh seeds, {', '.join([held, *_rest(recorded)])}. Levels compare only where machine and"
        " budget are alike; gains do. A gain here is against the mean of all trials that the incumbent had by then; the"
        " difference in a reason is what the keep rule looked at, for most rules the incumbent's latest trials."
        " Trials that were disturbed enter neither the score nor what they print."
    )


def _rest(recorded: Sequence[ProposalRecord]) -> list[str]:
    """What became of those that were not kept: one that could not be told has not failed."""
    untold, waiting = (sum(each.untold for each in recorded), sum(each.settled is None for each in recorded))
    failed = len(recorded) - sum(each.kept for each in recorded) - untold - waiting
    words = ((failed, "did not"), (untold, "could not be told"))
    undecided = [f"{waiting} {'is' if waiting == 1 else 'are'} not decided"] if waiting else []
    return [f"{count} {word}" for count, word in words if count] + undecided


def _byte_note(trials: Sequence[TrialRecord]) -> list[str]:
    """The shift between the two counts of bytes, from the first trial that has both numbers."""
    for trial in trials:
        printed = trial.side.get(AS_PRINTED)
        if printed and trial.value is not None:
            return [
                "The checkout's own evaluation decodes each token alone and counts U+FFFD, three bytes, for a piece"
                " that is no whole UTF-8; here a token has the bytes of its raw text. For the same answers that moves"
                f" the metric by {shift_text(trial.value / printed - 1)} in the first trial."
            ]
    return []


def _kernel_note(trials: Sequence[TrialRecord]) -> list[str]:
    stood_in = sum(trial.measured.claims.get(KERNELS) == 1 for trial in trials)
    if not stood_in:
        return []
    return [
        f"In {stood_in} of {len(trials)} trials torch's own attention stood in for kernels that the script asks the hub"
        f" for ({KERNELS} on their rows): slower, and not bit for bit the same."
    ]
