"""Rules on paths and on text as such: what a reader sees must be what the interpreter gets."""

import re
import unicodedata
from collections.abc import Iterator

from guards.source.syntax import Source, identifiers
from harness.records import Evidence

Finding = tuple[str, str]
"""Case and message."""

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_CODING = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_LINE_END = re.compile(r"\r\n|\n")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (bidi, zero width), surrogates, ...


def path_findings(evidence: Evidence) -> Iterator[Finding]:
    """Only editable paths differ, all of them are there, and none is anything but a plain file."""
    for path, target in evidence.links.items():
        yield "link", f"{path} is a link to {target}; only plain files are taken"
    for path in sorted(evidence.candidate.keys() | evidence.incumbent.keys()):
        before, after = evidence.incumbent.get(path), evidence.candidate.get(path)
        if before == after:
            continue
        if path not in evidence.editable:
            change = "added" if before is None else "deleted" if after is None else "changed"
            yield "protected", f"{path} is not editable and was {change}"
        elif after is None:
            yield "deleted", f"{path} is editable but must not be deleted"
        elif not _PATH.fullmatch(path):
            yield "path", f"{path!r} is not a plain relative path"


def text_findings(path: str, content: bytes) -> Iterator[Finding]:
    """UTF-8 without control, bidirectional, zero-width or private characters."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield "binary", f"{path} is not UTF-8 text (byte {error.start})"
        return
    plain = _LINE_END.sub(" ", text)
    if plain.isascii() and plain.replace("\t", " ").isprintable():
        return
    for index, line in enumerate(_LINE_END.split(text), 1):
        for character in line:
            if character != "\t" and unicodedata.category(character) in _HIDDEN:
                yield "character", f"{path} line {index} has the hidden character U+{ord(character):04X}"
                return


def spelling_findings(source: Source) -> Iterator[Finding]:
    """Identifiers in ASCII (no look-alikes) and no source encoding but UTF-8."""
    for line in source.text.split("\n", 2)[:2]:
        declared = _CODING.match(line)
        if declared and declared[1].lower() not in ("utf-8", "utf8"):
            yield "encoding", f"{source.path} declares the encoding {declared[1]}; only UTF-8 is read"
    if source.text.isascii():
        return
    for name in identifiers(source):
        if not name.isascii():
            yield "identifier", f"{source.path} spells the identifier {name!r} with other than ASCII"
            return
