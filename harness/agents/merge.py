"""Three-way merge by lines: an edit of `base` carried over to what `base` has become since."""

import difflib
import re
from typing import NamedTuple

from harness.records import Files


class Conflict(Exception):
    """Both sides changed the same lines, or lines that touch."""


class _Hunk(NamedTuple):
    """Lines start..end of the base become `new`. side: whose change it is."""

    start: int
    end: int
    new: tuple[bytes, ...]
    side: int


def merged(base: Files, theirs: Files, ours: Files, *, touching: bool = False) -> dict[str, bytes]:
    """New bytes of the paths that `theirs` changes, with the changes of `ours` in them.

    theirs: complete bytes of changed paths only. Paths where nothing is left to change are left out.
    touching: see merge_file. Raises Conflict.
    """
    result = {}
    for path, content in theirs.items():
        before, now = base.get(path), ours.get(path)
        if now in (before, content):
            result[path] = content
        elif before is None or now is None:
            raise Conflict(path)
        else:
            result[path] = merge_file(before, content, now, touching=touching)
    return {path: content for path, content in result.items() if content != ours.get(path)}


def merge_file(base: bytes, theirs: bytes, ours: bytes, *, touching: bool = False) -> bytes:
    """Raises Conflict where both change the same or adjoining lines, unless in the same way.

    touching: adjoining lines are taken where each side has lines of the base of its own, as in a block of constants;
    two texts for one place are a conflict all the same.
    """
    old = _lines(base)
    result: list[bytes] = []
    last = _Hunk(-1, -1, (), -1)
    for change in sorted(_changes(old, _lines(ours), 0) + _changes(old, _lines(theirs), 1)):
        if change[:3] == last[:3]:
            continue
        if _clash(last, change, touching):
            raise Conflict(f"line {change.start + 1}")
        result += [*old[max(last.end, 0) : change.start], *change.new]
        last = change
    return b"".join(result + old[max(last.end, 0) :])


def _clash(last: _Hunk, change: _Hunk, touching: bool) -> bool:
    if last.side == change.side or change.start > last.end:
        return False
    both_replace = last.start < last.end and change.start < change.end
    return not (touching and both_replace and change.start == last.end)


def _changes(old: list[bytes], new: list[bytes], side: int) -> list[_Hunk]:
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [_Hunk(i, j, tuple(new[k:m]), side) for kind, i, j, k, m in blocks if kind != "equal"]


def _lines(content: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+\Z", content)
