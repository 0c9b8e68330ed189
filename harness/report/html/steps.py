"""Both levels of a rule like the stack: which keeps held together on fresh trials, and which were rolled back."""

from harness.ledger.rows import AblationRow, SettledRow
from harness.ledger.session_record import SessionRecord
from harness.records import Action
from harness.report.escape import as_html, one_line
from harness.report.html.pieces import Cell, fold, section, table
from harness.report.words import ablation_line, score_text, signed, step_lines

_HEADINGS = (
    "race",
    "what came of it",
    "proposals",
    "effect on val",
    "z",
    "bound",
    "head",
    "certified",
    "trials",
)
_NONE = ("",) * 6  # of the figures of a race
_NUMERIC = (0, 3, 4, 5, 6, 7, 8)


def steps(session: SessionRecord) -> str:
    """A line a race, with the keeps that are not settled yet; what was taken apart on demand is folded below."""
    rows = [_race(session, row) for row in session.settlements]
    if waiting := session.provisional:
        rows.append(("", "not settled yet", _titles(session, [keep.number for keep in waiting]), *_NONE))
    if not rows:
        return _ablations(session)
    about = (
        "Keeps are provisional until head and last certified state have raced on fresh trials, by turns. What holds is "
        "a certified step, and the branch advances by it; what does not is rolled back, the whole stack. Effects are "
        "on val and were not selected; the certificate is on the sealed split."
    )
    said = "".join(f"<p>{as_html(line)}.</p>" for line in step_lines(session))
    return section(
        "Certified steps and roll-backs", table(_HEADINGS, rows, _NUMERIC), said, _folds(session), about=about
    )


def _race(session: SessionRecord, row: SettledRow) -> tuple[Cell, ...]:
    word = "certified step" if row.action is Action.CERTIFY else "rolled back"
    said = row.statistics
    numbers = [f"{said[name]:.2f}" if name in said else "-" for name in ("z", "bound")]
    return (
        row.race,
        f"{word} ({one_line(row.reason.partition('.')[2] or row.reason, 40).replace('_', ' ')})",
        _titles(session, row.keeps),
        signed(said["effect"]) if "effect" in said else "-",
        *numbers,
        _mean(row.head_scores),
        _mean(row.certified_scores),
        f"{len(row.head_scores)} + {len(row.certified_scores)}",
    )


def _titles(session: SessionRecord, numbers: list[int]) -> str:
    return "; ".join(f"{number}: {one_line(session.proposal(number).title, 60)}" for number in numbers)


def _mean(scores: list[float | None]) -> str:
    known = [score for score in scores if score is not None]
    return score_text(sum(known) / len(known) if known else None)


def _ablations(session: SessionRecord) -> str:
    return section("What carries it", _folds(session))


def _folds(session: SessionRecord) -> str:
    return "".join(_ablation(session, row) for row in session.ablations)


def _ablation(session: SessionRecord, row: AblationRow) -> str:
    name = f"certified step {row.step}" if row.step else "everything that was kept"
    lines = [
        ablation_line(
            change, session.proposal(change.proposal).title if change.proposal else "", session.unit
        )
        for change in row.changes
    ]
    listed = "".join(f"<p>{as_html(line, 400)}</p>" for line in lines)
    about = (
        f"Fresh trials on val of commit {row.head_commit[:10]} with and without each change; the intervals hold "
        f"together with {row.confidence:.0%}. A change that was not shown may still help."
    )
    return fold(f"which changes carry {as_html(name)}", f'{listed}<p class="soft">{as_html(about)}</p>')
