"""Short spellings for verdicts, and the frame that every guard on source code is called in."""

from collections.abc import Mapping

from harness.records import Json, Judgement, Verdict


def accept(guard: str, message: str = "", evidence: Mapping[str, Json] | None = None) -> Verdict:
    """Nothing to object."""
    return Verdict(guard, Judgement.ACCEPT, "", message, evidence or {})


def reject(guard: str, reason: str, message: str, evidence: Mapping[str, Json] | None = None) -> Verdict:
    """`reason` is the stable code "family.case"; `message` is cut to one line of printable text."""
    return Verdict(guard, Judgement.REJECT, reason, one_line(message), evidence or {})


def inconclusive(
    guard: str, reason: str, message: str, evidence: Mapping[str, Json] | None = None
) -> Verdict:
    """The evidence is not good enough: measure again."""
    return Verdict(guard, Judgement.INCONCLUSIVE, reason, one_line(message), evidence or {})


def one_line(text: str, limit: int = 300) -> str:
    """Text that came from outside, safe in a terminal and a table: printable, one line, clipped."""
    flat = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
