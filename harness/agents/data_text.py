"""Text that others wrote (logs, rationales), made fit for a prompt: escaped, clipped, marked as data."""

import hashlib
import math
import re
import unicodedata
from typing import Any

_CONTROL = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}  # also direction marks and other invisible ones


def escaped(text: str, keep_lines: bool = True) -> str:
    """Every character that is not plainly visible becomes its \\u.... spelling; line ends and tabs may stay."""
    kept = "\n\t" if keep_lines else ""
    return "".join(
        character
        if character in kept or unicodedata.category(character) not in _CONTROL
        else f"\\u{ord(character):04x}"
        for character in text
    )


def one_line(text: str, most: int = 200) -> str:
    """At most `most` characters on one line."""
    line = escaped(re.sub(r"\s+", " ", text).strip(), keep_lines=False)
    return line if len(line) <= most else line[: most - 1] + "…"


def tail(text: str, most: int) -> str:
    """The end of a log, which is where the error stands."""
    clean = escaped(text.replace("\r\n", "\n").strip())
    return clean if len(clean) <= most else f"[{len(clean) - most} characters left out]…" + clean[-most:]


def as_data(label: str, text: str) -> str:
    """Between marks that the text cannot hold, because they are made from it."""
    mark = f"{label}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return f"<{mark}>\n{text}\n</{mark}>"


def estimated_tokens(text: str) -> int:
    """More than any tokeniser in use makes of source code and English."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 3)


def finite_number(value: Any) -> float | None:
    """A number that others wrote; None for text that is none, for infinities and for what is no number at all."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
