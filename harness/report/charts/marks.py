"""How each kind of proposal is marked on the progress chart, there and in its legend."""

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.session_record import SessionRecord
from harness.records import DecidedBy
from harness.report.charts.svg import Drawing

LANES = {"guarded": "guard", "failed": "trial", "untold": "untold", "nothing": "agent"}
"""What has no score, by what decided it."""
_LEGEND = {
    "keep": "kept",
    "provisional": "kept provisionally",
    "step": "head of a certified step",
    "discard": "not better than noise",
    "rolled": "rolled back",
    "guarded": "rejected by a guard",
    "failed": "crashed, timed out or without a valid score",
    "untold": "cannot tell whether it helps",
    "nothing": "nothing that could be tried",
    "certified": "fresh trials on the sealed split",
}


def kind_of(proposal: ProposalRecord) -> str:
    """Its mark: keep, provisional, rolled, guarded, failed, untold, nothing or discard."""
    if proposal.kept:
        return "provisional" if proposal.level == "provisional" else "keep"
    if proposal.rolled_back:
        return "rolled"
    if proposal.untold:
        return "untold"
    by = {DecidedBy.GUARD: "guarded", DecidedBy.TRIAL: "failed", DecidedBy.AGENT: "nothing"}
    return by.get(proposal.decided_by, "discard")


def draw_mark(drawing: Drawing, kind: str, x: float, y: float, size: float = 1.0, tip: str = "") -> None:
    """At the place; size 1 is for a chart with some ten proposals."""
    match kind:
        case "keep" | "provisional":
            drawing.dot(x, y, 5 * size, kind, tip)
        case "step":
            drawing.dot(x, y, 8.5 * size, "step", tip)
        case "guarded":
            drawing.triangle(x, y, 3.2 * size, kind, tip)
        case "failed":
            drawing.cross(x, y, 3 * size, kind, tip)
        case "untold":
            drawing.dot(x, y, 3 * size, kind, tip)
            drawing.dot(x, y, 0.9 * size, "discard")
        case "nothing":
            drawing.box(x - 2.6 * size, y - 2.6 * size, 5.2 * size, 5.2 * size, kind, tip)
        case "certified":
            drawing.whisker(x, y - 6, y + 6, "certified", 3)
            drawing.dot(x, y, 3.5, "certified-dot", tip)
        case _:
            drawing.dot(x, y, 3 * size, kind, tip)


def legend(session: SessionRecord) -> list[tuple[str, str]]:
    """(kind, words) of every mark that the session's chart has."""
    there = {kind_of(proposal) for proposal in session.decided}
    there |= {"step"} if session.certified_steps else set()
    there |= {"certified"} if session.certificate else set()
    return [(kind, words) for kind, words in _LEGEND.items() if kind in there]


def key_svg(kind: str) -> str:
    """The mark alone, for a legend in HTML."""
    drawing = Drawing(20, 20, _LEGEND.get(kind, kind))
    draw_mark(drawing, kind, 10, 10, 0.9 if kind == "step" else 1.2)
    return drawing.svg("mark")
