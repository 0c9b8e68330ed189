"""The report as Markdown: for a pull request, a note or a chat. Text of agents is inert in it."""

from harness.ledger.session_record import SessionRecord
from harness.report.analysis import categories, claimed_gain, noise, rejections
from harness.report.escape import as_markdown
from harness.report.html.claimed import claimed_table
from harness.report.words import (
    certificate_lines,
    cost_text,
    mean_text,
    score_text,
    signed,
    time_lines,
    title,
    transfer_lines,
    verdict,
    why,
)


def markdown_report(session: SessionRecord) -> str:
    """The whole text."""
    parts = [
        f"# {as_markdown(title(session))}",
        *(f"**{as_markdown(line, 300)}**" for line in certificate_lines(session)),
        *(as_markdown(line, 300) for row in session.transfers for line in transfer_lines(row, session.unit)),
        _numbers(session),
        "## Proposals",
        _table(
            ("", "decision", "score", "rationale", "reason"),
            (
                (
                    str(p.number),
                    verdict(p),
                    score_text(p.score),
                    as_markdown(p.title or p.problem, 120),
                    as_markdown(why(p)),
                )
                for p in session.decided
            ),
        ),
        *_claimed(session),
        "## Why proposals were discarded",
        _table(
            ("by", "reason", "proposals"),
            (
                (as_markdown(who), as_markdown(reason), str(count))
                for who, reason, count in rejections(session)
            ),
        ),
        "## Keeps by class",
        _table(
            ("class", "proposed", "kept", "claimed gain"),
            (
                (
                    as_markdown(row.name),
                    str(row.proposed),
                    str(row.kept),
                    signed(row.claimed) if row.kept else "",
                )
                for row in categories(session)
            ),
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _claimed(session: SessionRecord) -> list[str]:
    """What a recorded night claimed beside what was measured; nothing for other sessions."""
    found = claimed_table(session)
    if found is None:
        return []
    rows = [tuple(as_markdown(str(cell), 160) for cell in row) for row in found.rows]
    shown = [_table(tuple(as_markdown(name) for name in found.headings), rows)] if rows else []
    return [f"## {found.title}", as_markdown(found.about, 2000), *shown]


def _numbers(session: SessionRecord) -> str:
    found, claimed = noise(session), claimed_gain(session)
    lines = [
        f"- {as_markdown(session.metric)} on val: baseline {mean_text(session, session.baseline)}, "
        f"incumbent {mean_text(session, session.incumbent)}",
        f"- kept {len(session.keeps)} of {len(session.decided)} proposals; {as_markdown(cost_text(session))}",
    ]
    lines += [f"- {as_markdown(line, 300)}" for line in time_lines(session)]
    if claimed is not None and session.keeps:
        lines.append(f"- claimed gain {signed(claimed)} (selected on val, not a result)")
    if found is not None:
        lines.append(f"- noise: sd {found.sd:.3g} ({found.low:.3g} to {found.high:.3g}), df {found.df}")
    return "\n".join(lines)


def _table(headings: tuple[str, ...], rows: object) -> str:
    assert hasattr(rows, "__iter__")
    body = [f"| {' | '.join(row)} |" for row in rows]
    head = f"| {' | '.join(headings)} |\n|{' --- |' * len(headings)}"
    return "\n".join([head, *body]) if body else "None."
