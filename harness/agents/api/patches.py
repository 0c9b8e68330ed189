"""Patches in git's format: reading them and applying them to bytes, without git and without touching a file.

The rules are those of `git apply`: a hunk is looked for at its own line and then ever further away (earlier kept edits
move lines), but its context must match byte for byte: there is no fuzz. Stricter than git in one thing: a line that no
hunk announces is refused and not dropped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from harness.records import MOST_FILES, Files

_START = re.compile(r"^(---( .*)?|diff .*)$", re.MULTILINE)
_HEADER = re.compile(
    r"\A(From|Date|Message-I[Dd]|MIME-Version|Content-[\w-]+): ?.*\n?|\AFrom [0-9a-f]{40} .*\n?"
)
_SUBJECT = re.compile(r"\ASubject: (\[[^\]]*\] ?)?")
_HYPOTHESIS = re.compile(r"^Hypothesis: *(.+)\n?", re.MULTILINE)
_LINK = "file mode 120000"
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_FRACTION = re.compile(r"\.0+(?= )")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_BETWEEN = re.compile(r"(---|\+\+\+) |-- ?$")  # the next file's header, or a mail's signature


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
    if (count := text.count("\n+++ ", start.start())) > MOST_FILES:
        raise PatchError(f"the patch changes {count} files, {MOST_FILES} are allowed")
    _check_hunks(text, start.start())
    try:
        files = tuple(PatchSet.from_string(text[start.start() :]))
    except UnidiffParseError as error:
        raise PatchError(f"malformed patch: {str(error).splitlines()[0]}") from None
    if not files:
        raise PatchError("there is no diff in the patch")
    rationale, hypothesis = _words(words)
    return Patch(rationale, hypothesis, files)


def _check_hunks(text: str, start: int) -> None:
    """Every line below a hunk's header is one that the header announces: nothing is dropped in silence.

    Raises PatchError. Lines between two files that are no part of a hunk may say what they like.
    """
    first = text.count("\n", 0, start) + 1
    old = new = 0
    in_hunk = False
    for number, line in enumerate(text[start:].split("\n"), first):
        if old or new:
            kind = line[:1] or " "
            if kind not in " -+\\":
                raise PatchError(
                    f"malformed patch: line {number} is no part of the hunk, which is not complete"
                )
            old, new = old - (kind in " -"), new - (kind in " +")
            if old < 0 or new < 0:
                raise PatchError(f"malformed patch: line {number} is more than the hunk's header announces")
        elif header := _HUNK.match(line):
            old, new = (1 if count is None else int(count) for count in header.groups())
            in_hunk = True
        elif in_hunk and line[:1] in ("+", "-", " ") and not _BETWEEN.match(line):
            raise PatchError(
                f"malformed patch: line {number} belongs to no hunk: its header announces fewer lines"
            )
        elif line[:1] != "\\":
            in_hunk = False
    if old or new:
        raise PatchError("malformed patch: the last hunk is not complete")


def _words(text: str) -> tuple[str, str]:
    """Rationale and hypothesis; headers of a mailed patch are dropped."""
    while (shorter := _HEADER.sub("", text, count=1)) != text:
        text = shorter
    text = _SUBJECT.sub("", text)
    found = _HYPOTHESIS.search(text)
    return _HYPOTHESIS.sub("", text).strip(), found[1].strip() if found else ""


def apply(patch: Patch, tree: Files) -> Edit:
    """The patch's effect on `tree`. Raises PatchError when any part of it does not apply."""
    work = _Work(tree, [_paths(change) for change in patch.files])
    for change in patch.files:
        work.take(change)
    return work.edit()


class _Work:
    """A tree under a patch, as `git apply` sees it: a later part of a file that was changed before changes the result,
    renames and copies read what was there at first, and what any part takes away makes room for another.
    """

    def __init__(self, tree: Files, paths: Sequence[tuple[str | None, str | None]]) -> None:
        self._tree = tree
        self._going = {old for old, new in paths if old is not None and old != new}
        self._new: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._deleted: set[str] = set()

    def take(self, change: PatchedFile) -> None:
        """Raises PatchError."""
        if change.is_binary_file:
            raise PatchError(f"{change.path}: binary patches are not supported")
        info = str(change.patch_info)
        if not (len(change) or change.is_rename or "file mode" in info or "new mode" in info):
            raise PatchError("there is no diff in the patch")
        old, new = _paths(change)
        self._check_new(old, new, info)
        moved = change.is_rename or "copy from" in info
        content = _changed(change, b"" if old is None else self._content(old, moved))
        if old is not None and old != new and "copy from" not in info:
            self._deleted.add(old)
            if not moved:
                self._forget(old)
        if new is not None:
            self._put(new, content, _LINK in info)

    def edit(self) -> Edit:
        """Raises PatchError where a file would stand in a folder's place or below a file."""
        kept = {*(set(self._tree) - self._deleted), *self._new, *self._links}
        made = {*self._new, *self._links}
        for path in sorted(kept):
            if both := next((one for one in _parents(path) if one in kept and {one, path} & made), None):
                raise PatchError(f"{both}: a file there, and {path} below it")
        return Edit(self._new, tuple(sorted(self._deleted - set(self._new) - set(self._links))), self._links)

    def _check_new(self, old: str | None, new: str | None, info: str) -> None:
        for path in filter(None, (old, new)):
            if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")):
                raise PatchError(f"{path}: no path that a patch may name")
        if "file mode 160000" in info:
            raise PatchError(f"{new or old}: submodules are not supported")
        if new is not None and new != old and new not in self._going and self._is_there(new):
            raise PatchError(f"{new}: the patch makes a file that is already there")

    def _is_there(self, path: str) -> bool:
        return path in self._tree or path in self._new or path in self._links

    def _content(self, path: str, moved: bool) -> bytes:
        if path in self._new and not moved:
            return self._new[path]
        if path not in self._tree or (path in self._deleted and not moved):
            raise PatchError(f"{path}: there is no such file to change")
        return self._tree[path]

    def _put(self, path: str, content: bytes, is_link: bool) -> None:
        self._forget(path)
        if is_link:
            self._links[path] = content.decode("utf-8", "surrogateescape").rstrip("\n")
        else:
            self._new[path] = content

    def _forget(self, path: str) -> None:
        self._new.pop(path, None)
        self._links.pop(path, None)


def _parents(path: str) -> Iterator[str]:
    """The folders above a path."""
    parts = path.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _paths(change: PatchedFile) -> tuple[str | None, str | None]:
    """Before and after; None where there is no file.

    A patch that `diff -u` made has no words for a rename: it changes the file that its second line names (the first, if
    the second is that with something behind it, a backup's name), and a time of 0 says that there is none.
    """
    old, new = _plain(change.source_file), _plain(change.target_file)
    if "diff --git" in str(change.patch_info) or old is None or new is None:
        return old, new
    name = old if new.startswith(old) else new
    if _is_zero(change.source_timestamp):
        return None, name
    return name, None if _is_zero(change.target_timestamp) else name


def _plain(name: str) -> str | None:
    """Without its first folder (a/, b/, or what people call it), as git takes it off; a line end is no part of it."""
    name = name.rstrip("\r")
    if len(name) > 1 and name[0] == name[-1] == '"':
        quoted = name[1:-1].encode("utf-8", "surrogateescape")
        name = _ESCAPE.sub(_unescaped, quoted).decode("utf-8", "surrogateescape")
    return None if name == "/dev/null" else name.partition("/")[2] or name


def _unescaped(found: re.Match[bytes]) -> bytes:
    """A byte of a name that git has put in quotes."""
    code = found[1]
    return bytes([int(code, 8) & 0xFF]) if code.isdigit() else _ESCAPED.get(code, code)


def _is_zero(timestamp: str | None) -> bool:
    """`diff -N` gives the beginning of time, in some zone, to a file that is not there."""
    try:
        return datetime.strptime(_FRACTION.sub("", timestamp or ""), "%Y-%m-%d %H:%M:%S %z").timestamp() == 0
    except ValueError:
        return False


def _changed(change: PatchedFile, content: bytes) -> bytes:
    """The file after all hunks. They are placed as `git apply` places them (apply.c, find_pos and match_fragment): the
    nearest match to the line that the hunk names, after it first; lines that an earlier hunk has written are no
    context; a hunk at the first line stands at the beginning, and one without context behind it at the end."""
    lines = _lines(content)
    written = [False] * len(lines)
    for number, hunk in enumerate(change, 1):
        old, new = _sides(hunk)
        if all(kind not in "+-" for kind, _ in _announced(hunk)):
            raise PatchError(f"{change.path.strip()}: hunk {number} changes nothing")
        place = _find(lines, written, old, _Anchor.of(hunk))
        if place is None:
            raise PatchError(f"{change.path.strip()}: hunk {number} does not apply, {_why_not(lines, old)}")
        lines[place : place + len(old)] = new
        written[place : place + len(old)] = [True] * len(new)
    if change.target_file == "/dev/null" and lines:
        raise PatchError(f"{change.path.strip()}: the patch deletes a file of which something would be left")
    return b"".join(lines)


class _Anchor(NamedTuple):
    """Where a hunk has to stand. expected: from 0."""

    expected: int
    at_beginning: bool
    at_end: bool

    @classmethod
    def of(cls, hunk: Any) -> "_Anchor":
        kinds = [kind for kind, _ in _announced(hunk) if kind != "\\"]
        trailing = kinds[-1:] == [" "]
        return cls(max(hunk.target_start - 1, 0), hunk.source_start <= 1, not trailing)


def _why_not(lines: list[bytes], old: list[bytes]) -> str:
    """In a few words for people."""

    def bare(part: list[bytes]) -> bytes:
        return b"".join(line.rstrip(b"\r\n") + b"\n" for line in part)

    ends = [line.endswith(b"\r\n") for line in old]
    if old and bare(old) in bare(lines):
        if any(ends) != any(line.endswith(b"\r\n") for line in lines):
            whose = "the patch has" if any(ends) else "the file has"
            return f"{whose} CRLF line ends and the other has not: convert one of them"
        return "its lines are there, but not where the hunk says: give it more lines of context, as diff -u does"
    return "its context is not there"


def _sides(hunk: Any) -> tuple[list[bytes], list[bytes]]:
    """Old and new lines of a hunk, each with its line end; `\\ No newline` takes it from the line above."""
    sides: dict[str, list[bytes]] = {"old": [], "new": []}
    last: tuple[str, ...] = ()
    for kind, value in _announced(hunk):
        if kind == "\\":
            for side in last:
                sides[side][-1] = sides[side][-1].removesuffix(b"\n")
            continue
        last = {" ": ("old", "new"), "-": ("old",), "+": ("new",)}[kind]
        for side in last:
            sides[side].append(value.encode("utf-8", "surrogateescape"))
    return sides["old"], sides["new"]


def _announced(hunk: Any) -> Iterator[tuple[str, str]]:
    """Kind (" ", "-", "+", or a backslash for a word about the line above) and text of the lines of a hunk.

    An empty line is context whose blank was lost; unidiff also takes those behind a hunk for its own.
    """
    old = 0
    for line in hunk:
        kind = line.line_type or " "
        if line.line_type == "" and old >= hunk.source_length:
            continue
        old += kind in " -"
        yield kind, line.value


def _find(lines: list[bytes], written: list[bool], wanted: list[bytes], anchor: _Anchor) -> int | None:
    """The nearest place to the expected one at which `wanted` stands and no earlier hunk has written."""
    last = len(lines) - len(wanted)
    expected = 0 if anchor.at_beginning else max(last, 0) if anchor.at_end else anchor.expected
    places = [0] if anchor.at_beginning else range(last + 1)
    for place in sorted(places, key=lambda place: (abs(place - expected), -place)):
        end = place + len(wanted)
        fits = lines[place:end] == wanted and not any(written[place:end])
        if fits and (not anchor.at_end or end == len(lines)):
            return place
    return None


def _lines(content: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+\Z", content)
