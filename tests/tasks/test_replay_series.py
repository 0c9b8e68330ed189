"""The recorded proposals that come with the tasks: each still is what its name says."""

from pathlib import Path

import pytest

from harness.agents.patches import apply, read_patch

TASKS = Path(__file__).parents[2] / "tasks"
PATCHES = sorted(TASKS.glob("digits/replay/*.patch")) + sorted(TASKS.glob("nanochat/replay/*.patch"))
KEPT = ("0001-momentum", "0001-smaller-batch")


def sources(task: Path) -> dict[str, bytes]:
    return {name: (task / name).read_bytes() for name in ("train.py", "prepare.py", "evaluate.py")}


@pytest.mark.parametrize("file", PATCHES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
@pytest.mark.parametrize("after", [False, True], ids=["baseline", "after_keeps"])
def test_patch_applies_and_compiles(file: Path, after: bool) -> None:
    """A proposal applies to the baseline and also on top of the improvements before it; it has a rationale."""
    files = sources(file.parents[1])
    if after:
        for kept in (other for other in PATCHES if other.parent == file.parent and other < file):
            if kept.stem in KEPT:
                files |= apply(read_patch(kept.read_bytes()), files).files
    patch = read_patch(file.read_bytes())
    edit = apply(patch, files)
    assert len(patch.rationale) > 40
    for name, content in edit.files.items():
        compile(content, name, "exec")


@pytest.mark.parametrize("task", ["digits", "nanochat"])
def test_series_holds_every_kind(task: str) -> None:
    """The seed change is a literal 42 -> 137 and the protected edit touches a file of the referee."""
    changed = {}
    for file in PATCHES:
        if file.parts[-3] == task:
            changed[file.stem] = (
                set(apply(read_patch(file.read_bytes()), sources(TASKS / task)).files),
                file,
            )
    assert len(changed) >= 6
    seed = next(file for stem, (_, file) in changed.items() if stem.endswith("-seed"))
    assert "-BASE_SEED = 42" in seed.read_text()
    assert "+BASE_SEED = 137" in seed.read_text()
    protected = [stem for stem, (names, _) in changed.items() if names - {"train.py"}]
    assert len(protected) == 1
