"""A session's page, whole and in updates: what changed since a number of rows, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.session_record import SessionRecord
from harness.report.charts.marks import kind_of
from harness.report.charts.progress import HOURS, NARROW, PROPOSALS, WIDE, ProgressChart
from harness.report.charts.svg import Drawing
from harness.report.escape import as_html
from harness.report.html.page import chart_legend, glossary
from harness.report.html.pieces import section
from harness.report.html.proposals import summary
from harness.ui.parts import AFTER, BEFORE, BETWEEN, PARTS, shell, stamp
from harness.ui.watched import Watched

_FRAMES = {"wide": WIDE, "narrow": NARROW}
FILTERS = {
    "all": "all",
    "keep": "kept",
    "discard": "not better",
    "guarded": "rejected by a guard",
    "failed": "crashed",
    "untold": "cannot tell",
    "open": "open",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a reader looks at the session. axis: of the chart. controls: sessions drawn beside it."""

    axis: str = PROPOSALS
    controls: tuple[SessionRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reader's page shows already. charts: key of each, marks: how many decided proposals it holds."""

    begun: int = 0
    length: int = 0
    said: int = 0
    marks: int = 0
    charts: Mapping[str, str] | None = None


def seen_now(watched: Watched, look: Look) -> Shown:
    """Of a page that was made at this moment."""
    charts = {name: chart.key for name, chart in _charts(watched.record, look).items()}
    return Shown(watched.begun, watched.length, watched.said, len(watched.record.decided), charts)


def session_body(watched: Watched, look: Look) -> str:
    """The whole page, as it stands."""
    session = watched.record
    charts = "".join(chart.drawing().svg(name) for name, chart in _charts(session, look).items())
    legend = chart_legend(session, look.controls)
    figure = f'<figure id="chart">{charts}<figcaption id="legend">{legend}</figcaption></figure>'
    folds = "".join(proposal_fold(proposal) for proposal in reversed(session.proposals.values()))
    listed = f'<p class="soft" id="found" role="status"></p><div id="proposals">{folds}</div>'
    return "".join(
        (
            *(shell(part, watched) for part in BEFORE),
            section("Progress", figure),
            section(
                "Proposals",
                _filters(),
                listed,
                about="The newest first. Open one for its diff, trials and verdicts.",
            ),
            *(shell(part, watched) for part in (*BETWEEN, *AFTER)),
            glossary(),
        )
    )


def _filters() -> str:
    buttons = "".join(
        f'<button type="button" data-filter="{name}" aria-pressed="{str(name == "all").lower()}">{words}</button>'
        for name, words in FILTERS.items()
    )
    search = (
        '<input id="search" type="search" placeholder="search reasons, diffs, transcripts  ( / )" '
        'aria-label="search reasons, diffs and transcripts" autocomplete="off" spellcheck="false">'
    )
    return f'<div class="tools">{search}<span class="filters">{buttons}</span></div>'


def proposal_fold(proposal: ProposalRecord) -> str:
    """Its line; what is inside is fetched when it is opened."""
    return (
        f'<details class="proposal lazy" id="p{proposal.number}" data-kind="{_kind(proposal)}" '
        f'data-fetch="proposal/{proposal.number}"><summary>{summary(proposal)}</summary><div></div></details>'
    )


def _kind(proposal: ProposalRecord) -> str:
    if proposal.settled is None:
        return "open"
    kind = kind_of(proposal)
    return {"provisional": "keep", "rolled": "discard", "nothing": "failed"}.get(kind, kind)


def _charts(session: SessionRecord, look: Look) -> dict[str, ProgressChart]:
    return {
        name: ProgressChart(session, replace(frame, axis=look.axis), look.controls)
        for name, frame in _FRAMES.items()
    }


def update(watched: Watched, look: Look, seen: Shown) -> tuple[dict[str, Any], Shown]:
    """(what a page that shows `seen` has to change, what it shows then). An empty one says that nothing did."""
    if seen.begun != watched.begun:
        return {"reload": True}, replace(seen, begun=watched.begun)
    session = watched.record
    found: dict[str, Any] = {}
    parts = {
        part.name: part.draw(watched)
        for part in PARTS.values()
        if not part.lazy and stamp(part, watched) > (seen.length + seen.said if part.often else seen.length)
    }
    changed = sorted(number for number, length in watched.touched.items() if length > seen.length)
    if parts:
        found["parts"] = parts
    if changed:
        found["proposals"] = [_line(session, number) for number in changed]
    now = replace(seen, length=watched.length, said=watched.said)
    if watched.turned > seen.length:
        found["charts"], keys = _chart_changes(session, look, seen)
        found["legend"] = chart_legend(session, look.controls)
        now = replace(now, marks=len(session.decided), charts=keys)
    return found, now


def _line(session: SessionRecord, number: int) -> dict[str, Any]:
    proposal = session.proposal(number)
    return {
        "number": number,
        "kind": _kind(proposal),
        "summary": summary(proposal),
        "fold": proposal_fold(proposal),
    }


def _chart_changes(
    session: SessionRecord, look: Look, seen: Shown
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The layers of each chart; of the marks only the new ones where the old ones stay where they are."""
    changes, keys = {}, {}
    for name, chart in _charts(session, look).items():
        keys[name] = chart.key
        if (seen.charts or {}).get(name) == chart.key:
            drawing = chart.onto(Drawing(0, 0, ""), session.decided[seen.marks :])
            changes[name] = {layer: drawing.layer_svg(layer) for layer in ("under", "over")}
            changes[name]["new"] = drawing.layer_svg("marks")
        else:
            changes[name] = {"whole": chart.drawing().svg(name)}
    return changes, keys


def tools(look: Look, others: Sequence[tuple[str, str]], chosen: Sequence[str]) -> str:
    """Switches above the page. others: (name, words) of sessions that can be drawn beside this one."""
    axes = "".join(
        f'<option value="{axis}"{" selected" if axis == look.axis else ""}>{words}</option>'
        for axis, words in ((PROPOSALS, "by proposal"), (HOURS, "by wall clock"))
    )
    controls = "".join(
        f'<option value="{key}"{" selected" if key in chosen else ""}>{as_html(words, 80)}</option>'
        for key, words in others
    )
    select = f'<select id="axis" aria-label="axis of the chart">{axes}</select>'
    if controls:
        select += (
            f'<select id="control" aria-label="a session to draw beside this one"><option value="">no control</option>'
            f"{controls}</select>"
        )
    return select
