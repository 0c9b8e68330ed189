"""An agent's transcripts for people: one page each, beside the report, made from files that are checked by hash."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.ledger.record_parts import ProposalRecord
from harness.ledger.session_record import SessionRecord
from harness.report.agent_files import MOST_TRANSCRIPT_BYTES, entries
from harness.report.escape import as_html
from harness.report.html.pieces import fold, page, pre, section, table
from harness.report.inspection import findings

_OPEN = ("thinking", "text", "end", "pause", "fault")
_NOTES = ("failed", "works", "tokens", "faults", "left_out")
_NAMES = {
    "prompt": "what the agent was told",
    "call": "called",
    "result": "answer of",
    "smoke_test": "smoke test",
    "end": "end",
}


def transcript_of(proposal: ProposalRecord) -> Mapping[str, Any]:
    """What the proposal's row says of its transcript: file, sha256, bytes; empty without one."""
    said = proposal.answer.state.get("transcript")
    return said if isinstance(said, Mapping) and said.get("file") else {}


def page_name(proposal: ProposalRecord) -> str:
    """Relative to the session's folder."""
    return str(Path(str(transcript_of(proposal)["file"])).with_suffix(".html"))


def transcript_pages(session: SessionRecord, folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, HTML) of every transcript that is there."""
    for proposal in session.proposals.values():
        said = transcript_of(proposal)
        if said and (folder / str(said["file"])).is_file():
            yield folder / page_name(proposal), _page(proposal, folder)


def attempts(session: SessionRecord, folder: Path) -> str:
    """The section on what rules found in transcripts; empty where they found nothing."""
    found = findings(session, folder)
    rows = [(finding.proposal, finding.rule, finding.kind, finding.quote) for finding in found]
    about = "Found by rules in what agents said and did. A line is a reason to read the transcript, not a verdict."
    return section("What to look into", table(("proposal", "rule", "in", "quote"), rows, (0,)), about=about)


def _page(proposal: ProposalRecord, folder: Path) -> str:
    return page(transcript_title(proposal), transcript_body(proposal, folder))


def transcript_title(proposal: ProposalRecord) -> str:
    return f"Proposal {proposal.number}: transcript"


def transcript_body(proposal: ProposalRecord, folder: Path) -> str:
    """What its page shows. Raises OSError when the file that its row names is not there."""
    said = transcript_of(proposal)
    content = list(entries(folder / str(said["file"])))
    title = transcript_title(proposal)
    about = f'<p class="soft">{as_html(proposal.title, 300)}</p>{_checked(said, folder)}'
    head = f"<header><h1>{as_html(title)}</h1>{about}</header>"
    return head + section("What was said and done", *(_entry(entry) for entry in content))


def _checked(said: Mapping[str, Any], folder: Path) -> str:
    with open(folder / str(said["file"]), "rb") as file:
        found = hashlib.sha256(file.read(2 * MOST_TRANSCRIPT_BYTES)).hexdigest()
    if found == said.get("sha256"):
        return (
            f'<p class="soft">unchanged since it was written: sha256 {found[:16]}… stands in the ledger</p>'
        )
    return '<div class="banner">This file is not the one whose hash stands in the ledger.</div>'


def _entry(entry: Mapping[str, Any]) -> str:
    kind, text = str(entry.get("kind", "")), str(entry.get("text", ""))
    if kind == "clipped":
        return f"<p>{as_html(entry.get('entries'))} more entries were left out: the transcript was full.</p>"
    title = f"{as_html(_NAMES.get(kind, kind), 60)} {as_html(entry.get('name', ''), 60)}"
    notes = "; ".join(_note(name, entry[name]) for name in _NOTES if entry.get(name))
    if notes:
        title += f' <span class="soft">{as_html(notes, 300)}</span>'
    if not text.strip():
        return f'<p class="soft">{title}</p>' if notes else ""
    if kind in _OPEN:
        return f'<h3>{title}</h3><div class="said">{pre(text, 40_000)}</div>'
    return fold(title, pre(text, 40_000))


def _note(name: str, value: Any) -> str:
    """`tokens: input 100, output 30`; a name alone for what is just so."""
    words = name.replace("_", " ")
    if isinstance(value, Mapping):
        return f"{words}: " + ", ".join(f"{key} {json.dumps(count)}" for key, count in value.items())
    return words if value is True else f"{words}: {json.dumps(value)}"
