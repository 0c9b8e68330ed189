"""Recorded proposals, a patch file or a folder of changed files each: no account, the same edits every time.

A patch is a change of what the proposals before it made. Where it does not apply to the incumbent, and for a folder of
whole files at once, it is a change of the files that it was made on (`parents/`, else the baseline): what it changes
there is merged into the incumbent, so that what was kept meanwhile stays.
"""

import math
import re
from collections import Counter
from pathlib import Path

from harness.agents.api.patches import Edit, Patch, PatchError, apply, read_patch
from harness.agents.context import AgentContext
from harness.agents.merge import Conflict, merged
from harness.errors import UserError
from harness.records import Decision, Files, Json, Proposal, View

MAXIMUM_BYTES = 4 << 20
PARENTS = "parents"  # beside the patches: PATCH/FILE as it was when the change was recorded
CARRIED = "carried"  # in a proposal's state: how a change came over that does not apply as it is
MERGED, WHOLE = "merged", "whole"
_WORDS = "rationale.txt"
_CLAIM = re.compile(r"^Claimed: (\S+)(?: after (\S+))?$", re.MULTILINE)
_SAID = {
    MERGED: "Merged: the lines that it changes are as recorded, others are as the incumbent has them.",
    WHOLE: (
        "The whole file as it was then: lines that it changes were changed before by what is not kept here, so this"
        " is tried with it."
    ),
}
_OF_THE_BASELINE = "The whole file as given: what was kept since the baseline changes the same lines."


class Replay:
    """Proposal n is the n-th entry of a folder, by name: a `*.patch`, or a folder `NNNN-name` with changed files as a
    whole, and perhaps a `rationale.txt`.

    A patch is applied to the files as they then are; a folder, and a patch that does not apply there, is a change of
    the files that it was made on: those in `parents/`, else the session's baseline. It is merged into the incumbent.
    Where that cannot be done the whole files are the proposal, and its first line says which kept ones they undo; of a
    patch without `parents/` there are none, so it is a proposal with a problem: recorded, never tried.
    """

    reads_program = False
    repeatable = True

    def __init__(self, folder: str | None = None) -> None:
        """folder: where the patches are, None: the task's own. Raises UserError when there are none."""
        self._patches = None if folder is None else _patches(Path(folder))
        self._baseline: Files = {}

    @property
    def begins_at(self) -> str:
        """A folder of the task's with the files that its recorded series began with, if there is one."""
        return "night" if self._patches is None else ""

    def open(self, context: AgentContext) -> None:
        """Raises UserError when no folder was given and the task brings no patches."""
        self._baseline = context.baseline
        if self._patches is None:
            self._patches = _patches(context.task.file(context.task.replay))

    def propose(self, view: View) -> Proposal | None:
        assert self._patches is not None, "the session must open() the agent first"
        if view.number > len(self._patches):
            return None
        file = self._patches[view.number - 1]
        state: dict[str, Json] = {"patch": file.name}
        rationale, hypothesis = file.stem, ""
        try:
            if file.is_dir():
                rationale, whole = _whole_files(file)
                edit, how = _put_onto(whole, view, _parent(file) or self._baseline)
            else:
                patch = _read(file)
                rationale, hypothesis = patch.rationale or file.stem, patch.hypothesis
                edit, how = carried(patch, view, _parent(file), self._baseline)
        except (PatchError, OSError) as error:
            state |= claimed(rationale)
            return Proposal({}, rationale, hypothesis, state=state, problem=f"{file.name}: {error}")
        state |= claimed(rationale)
        if how:
            state[CARRIED] = how
            state |= _since_last_keep(view) if how == WHOLE else {}
            said = _SAID[how] if how == MERGED or _parent(file) else _OF_THE_BASELINE
            undoes = _undoing(self._baseline, view, edit.files) if how == WHOLE else ""
            rationale = f"{undoes}{rationale.rstrip()}\n\n{said}"
        return Proposal(edit.files, rationale, hypothesis, edit.deleted, edit.links, state=state)


def carried(patch: Patch, view: View, parent: Files, baseline: Files) -> tuple[Edit, str]:
    """The change on the files of now, and how it came there: "" as it is, MERGED or WHOLE.

    parent: files as they were when it was recorded, {}: not known; then it may have been made on the baseline, if that
    is known. Raises PatchError.
    """
    try:
        return apply(patch, {**view.readable, **view.editable}), ""
    except PatchError as error:
        if not parent and not baseline:
            raise
        recorded = _recorded(patch, view, parent or baseline, str(error))
    edit, how = _put_onto(recorded, view, parent or baseline)
    if how == WHOLE and not parent:
        raise PatchError("it changes lines of the baseline that were changed since by what is kept")
    return edit, how or MERGED


def _recorded(patch: Patch, view: View, base: Files, before: str) -> Edit:
    """The patch on the files that it was made on. before: why it does not apply to the incumbent."""
    try:
        return apply(patch, {**view.readable, **base})
    except PatchError as error:
        raise PatchError(f"tried on the incumbent: {before}; on what it was made on: {error}") from None


def _put_onto(recorded: Edit, view: View, base: Files) -> tuple[Edit, str]:
    """A change of `base` as one of the incumbent. base: {}: not known, then the files replace those of now."""
    if not base:
        return recorded, ""
    changed = {path: content for path, content in recorded.files.items() if base.get(path) != content}
    try:
        files = merged(base, changed, view.editable, touching=True)
    except Conflict:
        return Edit({**base, **changed}, recorded.deleted, recorded.links), WHOLE
    return Edit(files, recorded.deleted, recorded.links), "" if files == changed else MERGED


def _undoing(baseline: Files, view: View, files: Files) -> str:
    """Which kept proposals whole files undo, to stand at the beginning of their first line; "" if none."""
    numbers, before = [], baseline
    for past in view.history if baseline else ():
        if past.decision is Decision.KEEP:
            numbers += [past.number] * any(
                _undone(*(each.get(path, b"") for each in (before, past.files, view.editable, files)))
                for path in files
            )
            before = past.files
    named = " and ".join(map(str, numbers))
    return f"[undoes proposal{'s' * (len(numbers) > 1)} {named}, too] " if numbers else ""


def _undone(before: bytes, kept: bytes, now: bytes, then: bytes) -> bool:
    """Whether lines that came or went with the step before -> kept stand so in `now`, and would no longer in `then`."""
    lines = [
        Counter(line for line in text.splitlines() if line.strip()) for text in (before, kept, now, then)
    ]
    old, new, here, there = lines
    return bool((new - old) & (here - there) or (old - new) & (there - here))


def _parent(patch: Path) -> dict[str, bytes]:
    return _files(patch.parent / PARENTS / patch.stem)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _since_last_keep(view: View) -> dict[str, Json]:
    """For whole files of then the claim is that of all changes since the last one that is kept here."""
    kept = [past.state for past in view.history if past.decision is Decision.KEEP]
    first = next((past.state.get("claimed_before") for past in view.history), None)
    before = kept[-1].get("claimed") if kept else first
    return {} if before is None else {"claimed_before": before}


def claimed(rationale: str) -> dict[str, Json]:
    """From `Claimed: 0.98 after 0.99`, which `harness adopt` writes into a patch: the scores that were recorded with
    it and before it, as claimed and claimed_before; {} without one.
    """
    found = _CLAIM.search(rationale)
    if found is None:
        return {}
    try:
        scores = [None if text is None else float(text) for text in found.groups()]
    except ValueError:
        return {}
    names = ("claimed", "claimed_before")
    return {
        name: score
        for name, score in zip(names, scores, strict=True)
        if score is not None and math.isfinite(score)
    }


def _read(file: Path) -> Patch:
    if file.stat().st_size > MAXIMUM_BYTES:
        raise PatchError(f"the patch is larger than {MAXIMUM_BYTES} bytes")
    return read_patch(file.read_bytes())


def _whole_files(folder: Path) -> tuple[str, Edit]:
    """Its words and its files. Raises PatchError, OSError."""
    files = _files(folder)
    words = files.pop(_WORDS, folder.name.encode()).decode("utf-8", "replace").strip()
    if sum(map(len, files.values())) > MAXIMUM_BYTES:
        raise PatchError(f"the files are larger than {MAXIMUM_BYTES} bytes")
    return words, Edit(files, (), {})


def _patches(folder: Path) -> list[Path]:
    entries = [*folder.glob("*.patch"), *(each for each in folder.glob("[0-9]*-*") if each.is_dir())]
    if not entries:
        raise UserError(f"agent=replay: no *.patch files in {folder}; set agent.folder")
    return sorted(entries)
