"""Recorded proposals, one patch file each: no account, no cost, the same edits every time."""

import math
import re
from pathlib import Path

from harness.agents.api.patches import PatchError, apply, read_patch
from harness.agents.context import AgentContext
from harness.errors import UserError
from harness.records import Json, Proposal, View

MAXIMUM_BYTES = 4 << 20
_CLAIM = re.compile(r"^Claimed: (\S+)(?: after (\S+))?$", re.MULTILINE)


class Replay:
    """Proposal n is the n-th `*.patch` of a folder, by name, applied to the files as they then are.

    A patch that does not apply is a proposal with a problem: recorded, never tried.
    """

    reads_program = False
    repeatable = True

    def __init__(self, folder: str | None = None) -> None:
        """folder: where the patches are, None: the task's own. Raises UserError when there are none."""
        self._patches = None if folder is None else _patches(Path(folder))

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
        try:
            if file.stat().st_size > MAXIMUM_BYTES:
                raise PatchError(f"the patch is larger than {MAXIMUM_BYTES} bytes")
            patch = read_patch(file.read_bytes())
            rationale, hypothesis = patch.rationale or file.stem, patch.hypothesis
            state |= claimed(patch.rationale)
            edit = apply(patch, {**view.readable, **view.editable})
        except (PatchError, OSError) as error:
            return Proposal({}, rationale, hypothesis, state=state, problem=f"{file.name}: {error}")
        return Proposal(edit.files, rationale, hypothesis, edit.deleted, edit.links, state=state)


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


def _patches(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.patch"))
    if not files:
        raise UserError(f"agent=replay: no *.patch files in {folder}; set agent.folder")
    return files
