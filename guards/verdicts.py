"""Short spellings for verdicts, and the frame that every guard on source code is called in."""

from collections.abc import Mapping, Sequence

from harness.records import Json, Judgement, Verdict

_MOST_DOUBTS = 8


def accept(guard: str, message: str = "", evidence: Mapping[str, Json] | None = None) -> Verdict:
    """Nothing to object."""
    return Verdict(guard, Judgement.ACCEPT, "", message, evidence or {})


def reject(guard: str, reason: str, message: str, evidence: Mapping[str, Json] | None = None) -> Verdict:
    """`reason` is the stable code "family.case"; `message` is cut to one line of printable text."""
    return Verdict(guard, Judgement.REJECT, reason, one_line(message), evidence or {})


def doubt(
    guard: str, reason: str, doubts: Sequence[str], evidence: Mapping[str, Json] | None = None
) -> Verdict:
    """Accepted, with something that static analysis cannot settle: trials must show it before a keep."""
    said = tuple(one_line(text) for text in doubts[:_MOST_DOUBTS])
    return Verdict(guard, Judgement.ACCEPT, reason, said[0], evidence or {}, said)


def inconclusive(
    guard: str,
    reason: str,
    message: str,
    evidence: Mapping[str, Json] | None = None,
    trials_wanted: int = 0,
) -> Verdict:
    """The evidence is not good enough: measure again. trials_wanted: so many of the candidate's own, at least."""
    words = one_line(message)
    return Verdict(guard, Judgement.INCONCLUSIVE, reason, words, evidence or {}, trials_wanted=trials_wanted)


def one_line(text: str, limit: int = 300) -> str:
    """Text that came from outside, safe in a terminal and a table: printable, one line, clipped."""
    flat = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
