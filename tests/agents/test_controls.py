"""Agents without an account: replay, random and optuna."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.controls.constants import find_constants, replace_constants
from harness.agents.controls.optuna import Optuna
from harness.agents.controls.random import Random
from harness.agents.controls.replay import Replay
from harness.errors import UserError
from harness.records import View

MakeView = Callable[..., View]
Decide = Callable[..., View]


def test_finds_numbers_by_what_they_are_for(make_view: MakeView) -> None:
    """Assigned names, defaults and keyword arguments are found; seeds, flags and positional numbers are not."""
    found = find_constants("train.py", make_view().editable["train.py"])
    assert {c.name.removeprefix("train.py:"): c.value for c in found} == {
        "LEARNING_RATE": 6e-3,
        "BATCH": 32,
        "DEPTH": 2,
        "WIDTH": 128,
        "train.steps": 100,
        "train.momentum": 0.9,
        "train.make(weight_decay)": 0.1,
    }


@given(
    prefix=st.sampled_from(
        [b"", b"\xef\xbb\xbf", "é = 'ü'; ".encode(), b"# \xc3\xa9\r\n", b"x = '''\r\n\x0c'''\r"]
    ),
    old=st.one_of(st.integers(-900, 900), st.floats(-1e9, 1e9)),
    new=st.one_of(st.integers(-900, 900), st.floats(-1e9, 1e9)),
)
def test_replaces_a_number_and_no_other_byte(prefix: bytes, old: float, new: float) -> None:
    """Whatever stands around it: marks, wide characters, any line end, a sign."""
    after = b"  # \xe2\x82\xac comment\nother = 5\n"
    constants = {c.name: c for c in find_constants("f.py", prefix + f"rate = {old!r}".encode() + after)}
    if "f.py:rate" in constants:
        result = replace_constants(prefix + f"rate = {old!r}".encode() + after, {constants["f.py:rate"]: new})
        assert result == prefix + f"rate = {new!r}".encode() + after


@given(source=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_may_be_searched(source: bytes) -> None:
    """A file that is no Python has no constants; nothing raises."""
    for constant in find_constants("f.py", source):
        assert float(source[constant.start : constant.end].decode().replace("_", "") or "nan") is not None


@pytest.mark.parametrize("agent", [Random(), Random(changes=3), Optuna(warm_up=2)])
def test_controls_are_stateless_and_change_numbers_only(
    agent: Random | Optuna, make_view: MakeView, decide: Decide
) -> None:
    """The same view gives the same proposal, from a fresh agent too; only numbers differ; no repeats."""
    view, seen = make_view(), []
    for step in range(8):
        proposal = agent.propose(view)
        assert proposal is not None
        assert proposal == agent.propose(view)
        assert proposal.state not in seen
        seen.append(proposal.state)
        masked = [
            ast.dump(_without_numbers(ast.parse(source)))
            for source in (view.editable["train.py"], proposal.files["train.py"])
        ]
        assert masked[0] == masked[1]
        view = decide(view, proposal, None if step == 2 else 1.5 - step / 10, keep=step % 3 == 1)


def _without_numbers(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            node.value = 0
    return tree


def test_optuna_learns_from_the_history(make_view: MakeView, decide: Decide) -> None:
    """On a bowl, proposals after thirty scores lie nearer to the optimum than the first five do."""
    import math

    agent = Optuna(names=("LEARNING_RATE", "train.momentum"), warm_up=5)
    view, distances = make_view(baseline_score=None), []
    for _ in range(35):
        proposal = agent.propose(view)
        assert proposal is not None
        sizes = proposal.state["sizes"]
        assert isinstance(sizes, dict)
        distances.append(abs(math.log(sizes["train.py:LEARNING_RATE"] / 2e-2)))  # type: ignore[operator, arg-type]  # a number
        view = decide(view, proposal, distances[-1])
    assert sum(distances[-10:]) / 10 < sum(distances[:5]) / 5


def test_controls_end_when_there_is_nothing_to_tune(make_view: MakeView) -> None:
    """No numbers: no proposal, so the session ends in order."""
    view = make_view(editable={"train.py": b"print('hello')\n"})
    assert Random().propose(view) is None
    assert Optuna().propose(view) is None


def test_replay_goes_through_the_folder_in_order(tmp_path: Path, make_view: MakeView) -> None:
    """One patch a proposal; one that does not apply is a problem and no end; after the last there is none."""
    good = (
        "Faster.\nHypothesis: lower.\n--- a/train.py\n+++ b/train.py\n@@ -4,3 +4,3 @@\n"
        " LEARNING_RATE = 6e-3  # of the optimiser\n-BATCH = 32\n+BATCH = 16\n DEPTH, WIDTH = 2, 128\n"
    )
    protected = "Easier.\n--- a/prepare.py\n+++ b/prepare.py\n@@ -1,2 +1,2 @@\n"
    protected += " def prepare(public, private):\n-    pass\n+    return\n"
    (tmp_path / "0001-good.patch").write_text(good)
    (tmp_path / "0002-bad.patch").write_text(good.replace("BATCH = 32", "BATCH = 31"))
    (tmp_path / "0003-protected.patch").write_text(protected)
    agent = Replay(str(tmp_path))
    first, second, third, end = (agent.propose(make_view(number=n)) for n in (1, 2, 3, 4))
    assert first is not None
    assert b"BATCH = 16" in first.files["train.py"]
    assert (first.rationale, first.hypothesis, first.problem) == ("Faster.", "lower.", "")
    assert second is not None
    assert second.problem.startswith("0002-bad.patch: train.py: hunk 1 does not apply")
    assert third is not None
    assert list(third.files) == ["prepare.py"]
    assert end is None


def test_replay_without_patches_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    """Said before anything starts."""
    with pytest.raises(UserError, match=r"no \*\.patch files"):
        Replay(str(tmp_path))
