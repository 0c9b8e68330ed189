"""Which proposals have all the words, wherever they stand: reason, diff, verdicts, transcript."""

from collections.abc import Iterator

from harness.ledger.record_parts import ProposalRecord
from harness.report.agent_files import entries
from harness.report.html.transcripts import transcript_of
from harness.ui.watched import Watched

_MOST_BYTES = 200 << 20  # of transcripts that are read for one search


def matching(watched: Watched, words: str) -> list[int]:
    """Numbers of proposals; case is ignored, every word has to be there."""
    wanted = words.lower().split()[:20]
    with watched.lock:
        proposals = list(watched.record.proposals.values())
    left = _MOST_BYTES
    found = []
    for proposal in proposals:
        missing = _without(wanted, _texts(proposal))
        said = transcript_of(proposal)
        if missing and said and left > 0:
            file = watched.folder / str(said["file"])
            left -= file.stat().st_size if file.is_file() else 0
            missing = _without(missing, (str(entry.get("text", "")) for entry in entries(file)))
        if not missing:
            found.append(proposal.number)
    return found


def _without(wanted: list[str], texts: Iterator[str]) -> list[str]:
    """The words that stand in none of the texts."""
    left = list(wanted)
    for text in texts:
        if not left:
            break
        low = text.lower()
        left = [word for word in left if word not in low]
    return left


def _texts(proposal: ProposalRecord) -> Iterator[str]:
    yield f"{proposal.number} {proposal.commit} {proposal.rationale} {proposal.answer.hypothesis} {proposal.problem}"
    ruling = proposal.ruling
    yield f"{ruling.reason} {ruling.message} {ruling.category} {proposal.level} {proposal.status}"
    yield from (f"{each.guard} {each.reason} {each.message}" for each in proposal.verdicts)
    yield proposal.answer.patch
