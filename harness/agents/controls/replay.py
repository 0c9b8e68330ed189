"""Recorded proposals, a patch file or a folder of changed files each: no account, the same edits every time."""

import math
import re
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
    MERGED: "Merged: the lines that it changes are as recorded, others are not.",
    WHOLE: (
        "The whole file as it was then: lines that it changes were changed before by what is not kept here, so this"
        " is tried with it."
    ),
}


class Replay:
    """Proposal n is the n-th entry of a folder, by name: a `*.patch`, applied to the files as they then are, or a
    folder `NNNN-name` with whole files in place of those of the same name, and perhaps a `rationale.txt`.

    Where a patch does not apply and the folder says what the files were when it was recorded (`parents/`), the change
    is merged, and where that cannot be done the whole files of then are the proposal. Else it is a proposal with a
    problem: recorded, never tried.
    """

    reads_program = False
    repeatable = True

    def __init__(self, folder: str | None = None) -> None:
        """folder: where the patches are, None: the task's own. Raises UserError when there are none."""
        self._patches = None if folder is None else _patches(Path(folder))

    @property
    def begins_at(self) -> str:
        """A folder of the task's with the files that its recorded series began with, if there is one."""
        return "night" if self._patches is None else ""

    def open(self, context: AgentContext) -> None:
        """Raises UserError when no folder was given and the task brings no patches."""
        if self._patches is None:
            self._patches = _patches(context.task.file(context.task.replay))

    def propose(self, view: View) -> Proposal | None:
        assert self._patches is not None, "the session must open() the agent first"
        if view.number > len(self._patches):
            return None
        file = self._patches[view.number - 1]
        state: dict[str, Json] = {"patch": file.name}
        rationale, hypothesis = file.stem, ""
        if file.is_dir():
            return _whole_files(file, state)
        try:
            if file.stat().st_size > MAXIMUM_BYTES:
                raise PatchError(f"the patch is larger than {MAXIMUM_BYTES} bytes")
            patch = read_patch(file.read_bytes())
            rationale, hypothesis = patch.rationale or file.stem, patch.hypothesis
            state |= claimed(patch.rationale)
            edit, how = carried(patch, view, _parent(file))
        except (PatchError, OSError) as error:
            return Proposal({}, rationale, hypothesis, state=state, problem=f"{file.name}: {error}")
        if how:
            state[CARRIED] = how
            rationale = f"{rationale.rstrip()}\n\n{_SAID[how]}"
        if how == WHOLE:
            state |= _since_last_keep(view)
        return Proposal(edit.files, rationale, hypothesis, edit.deleted, edit.links, state=state)


def carried(patch: Patch, view: View, parent: Files) -> tuple[Edit, str]:
    """The change on the files of now, and how it came there: "" as it is, MERGED or WHOLE.

    parent: files as they were when it was recorded, {}: not known. Raises PatchError.
    """
    try:
        return apply(patch, {**view.readable, **view.editable}), ""
    except PatchError:
        if not parent:
            raise
        recorded = apply(patch, {**view.readable, **parent})
    try:
        files = merged(parent, recorded.files, view.editable, touching=True)
        return Edit(files, recorded.deleted, recorded.links), MERGED
    except Conflict:
        return Edit({**parent, **recorded.files}, recorded.deleted, recorded.links), WHOLE


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


def _whole_files(folder: Path, state: dict[str, Json]) -> Proposal:
    files = _files(folder)
    words = files.pop(_WORDS, folder.name.encode()).decode("utf-8", "replace").strip()
    if sum(map(len, files.values())) > MAXIMUM_BYTES:
        problem = f"{folder.name}: the files are larger than {MAXIMUM_BYTES} bytes"
        return Proposal({}, words, "", state=state, problem=problem)
    return Proposal(files, words, "", state=state | claimed(words))


def _patches(folder: Path) -> list[Path]:
    entries = [*folder.glob("*.patch"), *(each for each in folder.glob("[0-9]*-*") if each.is_dir())]
    if not entries:
        raise UserError(f"agent=replay: no *.patch files in {folder}; set agent.folder")
    return sorted(entries)
