"""Patches in git's format: reading them and applying them to bytes, without git and without touching a file.

A hunk is looked for at its own line and then ever further away (earlier kept edits move lines), but its
context must match byte for byte: there is no fuzz.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from harness.records import Files

_START = re.compile(r"^(---( .*)?|diff .*)$", re.MULTILINE)
_HEADER = re.compile(
    r"\A(From|Date|Message-I[Dd]|MIME-Version|Content-[\w-]+): ?.*\n?|\AFrom [0-9a-f]{40} .*\n?"
)
_SUBJECT = re.compile(r"\ASubject: (\[[^\]]*\] ?)?")
_HYPOTHESIS = re.compile(r"^Hypothesis: *(.+)\n?", re.MULTILINE)
_LINK = "file mode 120000"


class PatchError(Exception):
    """The text is no patch, or it does not apply; one line that says where."""


@dataclass(frozen=True, slots=True)
class Patch:
    """rationale: the words above the first diff; hypothesis: its line that starts with `Hypothesis:`."""

    rationale: str
    hypothesis: str
    files: tuple[PatchedFile, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What a patch makes of a tree: new bytes of changed paths, deleted paths, symbolic links."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


def read_patch(content: bytes) -> Patch:
    """Raises PatchError when the bytes after the leading words are no unified diff."""
    text = content.decode("utf-8", "surrogateescape")
    start = _START.search(text)
    words = text[: start.start()] if start else text
    if start is None:
        raise PatchError("there is no diff in the patch")
    try:
        files = tuple(PatchSet.from_string(text[start.start() :]))
    except UnidiffParseError as error:
        raise PatchError(f"malformed patch: {str(error).splitlines()[0]}") from None
    if not files:
        raise PatchError("there is no diff in the patch")
    rationale, hypothesis = _words(words)
    return Patch(rationale, hypothesis, files)


def _words(text: str) -> tuple[str, str]:
    """Rationale and hypothesis; headers of a mailed patch are dropped."""
    while (shorter := _HEADER.sub("", text, count=1)) != text:
        text = shorter
    text = _SUBJECT.sub("", text)
    found = _HYPOTHESIS.search(text)
    return _HYPOTHESIS.sub("", text).strip(), found[1].strip() if found else ""


def apply(patch: Patch, tree: Files) -> Edit:
    """The patch's effect on `tree`. Raises PatchError when any part of it does not apply."""
    files: dict[str, bytes] = {}
    deleted: list[str] = []
    links: dict[str, str] = {}
    for change in patch.files:
        if change.is_binary_file:
            raise PatchError(f"{change.path}: binary patches are not supported")
        if not (len(change) or change.is_rename or "file mode" in str(change.patch_info)):
            raise PatchError("there is no diff in the patch")
        old, new = _paths(change)
        content = _changed(change, old, b"" if old is None else _content(tree, old))
        if new is not None and _LINK in str(change.patch_info):
            links[new] = content.decode("utf-8", "surrogateescape").rstrip("\n")
        elif new is not None:
            files[new] = content
        if old is not None and old != new and "copy from" not in str(change.patch_info):
            deleted.append(old)
    return Edit(files, tuple(deleted), links)


def _paths(change: PatchedFile) -> tuple[str | None, str | None]:
    def plain(name: str) -> str | None:
        return None if name == "/dev/null" else re.sub(r"\A[ab]/", "", name)

    return plain(change.source_file), plain(change.target_file)


def _content(tree: Files, path: str) -> bytes:
    if path not in tree:
        raise PatchError(f"{path}: there is no such file to change")
    return tree[path]


def _changed(change: PatchedFile, path: str | None, content: bytes) -> bytes:
    lines = _lines(content)
    if path is None and not list(change):
        return b""
    result: list[bytes] = []
    done = 0  # lines of the old file already in the result
    shift = 0
    for number, hunk in enumerate(change, 1):
        old, new = _sides(hunk)
        expected = max(hunk.source_start - 1, 0) if old else hunk.source_start
        place = _find(lines, old, expected + shift, done)
        if place is None:
            raise PatchError(f"{change.path}: hunk {number} does not apply, its context is not there")
        shift = place - expected
        result += lines[done:place] + new
        done = place + len(old)
    return b"".join(result + lines[done:])


def _sides(hunk: object) -> tuple[list[bytes], list[bytes]]:
    """Old and new lines of a hunk, each with its line end; `\\ No newline` takes it from the line above."""
    sides: dict[str, list[bytes]] = {"old": [], "new": []}
    last: tuple[str, ...] = ()
    for line in hunk:  # type: ignore[attr-defined]  # unidiff's Hunk is a list of lines, untyped
        if line.line_type == "\\":
            for side in last:
                sides[side][-1] = sides[side][-1].removesuffix(b"\n")
            continue
        last = {" ": ("old", "new"), "-": ("old",), "+": ("new",)}.get(line.line_type, ("old", "new"))
        for side in last:
            sides[side].append(line.value.encode("utf-8", "surrogateescape"))
    return sides["old"], sides["new"]


def _find(lines: list[bytes], wanted: list[bytes], expected: int, first: int) -> int | None:
    """The nearest place to `expected`, not before `first`, at which `wanted` stands."""
    last = len(lines) - len(wanted)
    places = sorted(range(first, last + 1), key=lambda place: (abs(place - expected), place))
    return next((place for place in places if lines[place : place + len(wanted)] == wanted), None)


def _lines(content: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+\Z", content)
