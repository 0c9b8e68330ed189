"""A recorded series: as it is, merged where what was before it was not kept, as whole files where it cannot be."""

import difflib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.agents.context import AgentContext
from harness.agents.controls.replay import Replay
from harness.agents.merge import Conflict, merge_file
from harness.errors import UserError
from harness.records import Decision, Direction, PastProposal, Proposal, View

START = b"BATCH = 8\n\nRATE = 4e-4\nDECAY = 0.1\nWARM = 0.0\n"


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


NIGHT = [START]
for pair in (
    (b"DECAY = 0.1", b"DECAY = 0.3"),
    (b"RATE = 4e-4", b"RATE = 2e-3"),
    (b"RATE = 2e-3", b"RATE = 5e-3"),
):
    NIGHT.append(changed(NIGHT[-1], *pair))


def write_night(folder: Path, parents: bool = True) -> Replay:
    """Three changes: of one line, of the line above it, of that line again. Claimed: 2.0, then ever .1 less."""
    folder.mkdir()
    for number, (old, new) in enumerate(pairwise(NIGHT), 1):
        lines = [text.decode().splitlines(True) for text in (old, new)]
        diff = "".join(difflib.unified_diff(*lines, "a/train.py", "b/train.py"))
        claim = f"Claimed: {2 - number / 10:g} after {2.1 - number / 10:g}"
        (folder / f"{number:04d}.patch").write_text(f"change {number}\n\n{claim}\n\n{diff}")
        if parents:
            (folder / "parents" / f"{number:04d}").mkdir(parents=True)
            (folder / "parents" / f"{number:04d}" / "train.py").write_bytes(old)
    return Replay(str(folder))


def view(number: int, now: bytes, kept: tuple[int, ...] = ()) -> View:
    """Of a session that decided `number - 1` proposals of the night. kept: which of them."""
    past = tuple(
        PastProposal(
            each,
            {},
            "",
            Decision.KEEP if each in kept else Decision.DISCARD,
            "",
            state={"claimed": round(2 - each / 10, 1), "claimed_before": round(2.1 - each / 10, 1)},
        )
        for each in range(1, number)
    )
    return View("t", "loss", Direction.MINIMIZE, "", {"train.py": now}, {}, None, None, past, number)


def proposed(agent: Replay, asked: View) -> Proposal:
    found = agent.propose(asked)
    assert found is not None
    return found


def test_what_applies_is_applied(tmp_path: Path) -> None:
    found = proposed(write_night(tmp_path / "r"), view(1, START))
    assert found.files == {"train.py": NIGHT[1]}
    assert "carried" not in found.state


def test_a_change_beside_one_that_was_dropped_is_merged(tmp_path: Path) -> None:
    """The line above a dropped change: its own line is changed, the dropped one stays as it is; and it is said."""
    found = proposed(write_night(tmp_path / "r"), view(2, START))
    assert found.files == {"train.py": changed(START, b"RATE = 4e-4", b"RATE = 2e-3")}
    assert found.state["carried"] == "merged"
    assert (found.state["claimed"], found.state["claimed_before"]) == (1.8, 1.9)
    assert "Merged:" in found.rationale


@pytest.mark.parametrize(
    ("kept", "now", "before"), [((), START, 2.0), ((1,), NIGHT[1], 1.9)], ids=["nothing kept", "one kept"]
)
def test_a_change_of_a_line_that_was_dropped_is_the_whole_file_of_then(
    tmp_path: Path, kept: tuple[int, ...], now: bytes, before: float
) -> None:
    """It cannot be told apart from what it was made on: both are tried, and the claim is that of both together."""
    found = proposed(write_night(tmp_path / "r"), view(3, now, kept))
    assert found.files == {"train.py": NIGHT[3]}
    assert found.state["carried"] == "whole"
    assert (found.state["claimed"], found.state["claimed_before"]) == (1.7, before)
    assert "whole file" in found.rationale


def test_without_what_it_was_made_on_it_is_a_problem(tmp_path: Path) -> None:
    """A series of somebody's own patches: nothing is guessed."""
    found = proposed(write_night(tmp_path / "r", parents=False), view(3, START))
    assert "hunk 1 does not apply" in found.problem
    assert not found.files


def test_a_folder_of_whole_files_is_a_proposal(tmp_path: Path) -> None:
    """For who edited a copy: no patch has to be written. Among patches it has its place by name."""
    write_night(tmp_path / "r")
    folder = tmp_path / "r" / "0000-more-rows"
    folder.mkdir()
    (folder / "train.py").write_bytes(b"BATCH = 16\n")
    first, second = (proposed(Replay(str(tmp_path / "r")), view(number, START)) for number in (1, 2))
    assert (first.files, first.rationale) == ({"train.py": b"BATCH = 16\n"}, "0000-more-rows")
    assert second.files == {"train.py": NIGHT[1]}
    (folder / "rationale.txt").write_text("More rows.\n")
    assert replace(first, rationale="More rows.") == proposed(Replay(str(tmp_path / "r")), view(1, START))
    (tmp_path / "empty" / "parents").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no \*.patch files"):
        Replay(str(tmp_path / "empty"))


def opened(folder: Path, tmp_path: Path, baseline: bytes = START) -> Replay:
    """As a session opens it: the agent knows what the session began with."""
    agent = Replay(str(folder))
    nothing: Any = None
    agent.open(AgentContext(None, nothing, nothing, nothing, tmp_path, baseline={"train.py": baseline}))
    return agent


def write_copy(folder: Path, *edits: tuple[bytes, bytes], words: str = "") -> Path:
    """An edited copy of the task's own file, as the docs tell people to make one."""
    folder.mkdir(parents=True)
    content = START
    for old, new in edits:
        content = changed(content, old, new)
    (folder / "train.py").write_bytes(content)
    if words:
        (folder / "rationale.txt").write_text(words)
    return folder.parent


def after(edited: bytes, decision: Decision, number: int = 2) -> View:
    """Of a session that has decided its first proposal, `edited`."""
    past = PastProposal(1, {"train.py": edited}, "wider", decision, "")
    now = edited if decision is Decision.KEEP else START
    return replace(view(number, now), history=(past,))


WIDER = changed(START, b"BATCH = 8", b"BATCH = 16")


def test_a_folder_keeps_what_was_kept_before(tmp_path: Path) -> None:
    """A copy of the task's file says nothing of other lines: a keep stays, and a dropped change does not come back."""
    folder = write_copy(tmp_path / "r" / "0001-wider", (b"BATCH = 8", b"BATCH = 16"))
    write_copy(folder / "0002-rate", (b"4e-4", b"2e-3"), words="A higher rate.")
    agent = opened(folder, tmp_path)
    found = proposed(agent, after(WIDER, Decision.KEEP))
    assert found.files == {"train.py": changed(WIDER, b"4e-4", b"2e-3")}
    assert found.state["carried"] == "merged"
    assert found.rationale.startswith("A higher rate.\n\nMerged:")
    alone = proposed(agent, after(WIDER, Decision.DISCARD))
    assert (alone.files, alone.rationale) == (
        {"train.py": changed(START, b"4e-4", b"2e-3")},
        "A higher rate.",
    )


def test_a_folder_that_changes_the_same_line_says_first_what_it_undoes(tmp_path: Path) -> None:
    """Two texts for one line: the copy is tried as it is, and its title names the keep that is lost with it."""
    folder = write_copy(tmp_path / "r" / "0001-wider", (b"BATCH = 8", b"BATCH = 16"))
    write_copy(folder / "0002-widest", (b"BATCH = 8", b"BATCH = 32"))
    found = proposed(opened(folder, tmp_path), after(WIDER, Decision.KEEP))
    assert found.files == {"train.py": changed(START, b"BATCH = 8", b"BATCH = 32")}
    assert found.rationale.startswith("[undoes proposal 1, too] 0002-widest\n\nThe whole file as given")
    assert found.state["carried"] == "whole"


def test_a_folder_whose_change_is_there_already_changes_nothing(tmp_path: Path) -> None:
    """Also where the rest of its file is older than the incumbent: that is not what it proposes."""
    folder = write_copy(tmp_path / "r" / "0001-wider", (b"BATCH = 8", b"BATCH = 16"))
    write_copy(folder / "0002-again", (b"BATCH = 8", b"BATCH = 16"))
    write_copy(folder / "0003-none")
    agent = opened(folder, tmp_path)
    for number in (2, 3):
        assert proposed(agent, after(WIDER, Decision.KEEP, number)).files == {}


def test_a_patch_of_the_baseline_is_merged_into_what_was_kept(tmp_path: Path) -> None:
    """Somebody's own patches are each made on the task's file: a keep beside its lines is no reason to lose one."""
    write_night(tmp_path / "r", parents=False)
    last = START.replace(b"WARM = 0.0\n", b"")
    agent = opened(tmp_path / "r", tmp_path)
    found = proposed(agent, after(last, Decision.KEEP, 1))
    assert found.files == {"train.py": changed(last, b"DECAY = 0.1", b"DECAY = 0.3")}
    clash = changed(START, b"DECAY = 0.1", b"DECAY = 0.5")
    assert (
        "lines of the baseline that were changed since"
        in proposed(agent, after(clash, Decision.KEEP, 1)).problem
    )
    assert (
        "tried on the incumbent: train.py: hunk 1"
        in proposed(agent, after(START, Decision.DISCARD, 3)).problem
    )


def test_lines_that_touch_are_taken_only_where_both_had_a_line() -> None:
    """Two constants side by side, yes; two texts for one place, or an insertion beside a change: nobody knows where."""
    base = b"a\nb\nc\n"
    assert merge_file(base, b"A\nb\nc\n", b"a\nB\nc\n", touching=True) == b"A\nB\nc\n"
    for theirs, ours in ((b"A\nb\nc\n", b"B\nb\nc\n"), (b"A\nb\nc\n", b"a\nnew\nb\nc\n")):
        with pytest.raises(Conflict):
            merge_file(base, theirs, ours, touching=True)
    with pytest.raises(Conflict):
        merge_file(base, b"A\nb\nc\n", b"a\nB\nc\n")
