"""Agents without an account: replay, random, optuna and cma_es."""

import ast
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.controls.cma_es import CmaEs, evolution_of
from harness.agents.controls.constants import find_constants, replace_constants
from harness.agents.controls.evolution import Evolution, ranked
from harness.agents.controls.optuna import Optuna, past_trials
from harness.agents.controls.random import Random
from harness.agents.controls.replay import Replay
from harness.agents.controls.space import Range, first_space, range_around
from harness.agents.controls.tuning import told
from harness.errors import UserError
from harness.records import Direction, Proposal, View

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


def test_plumbing_is_left_out_unless_it_is_named(make_view: MakeView) -> None:
    """A line that says "not tuned" is out of every control's reach by default; a name that the user gives counts."""
    source = b"RESERVE = 4  # not tuned: time kept back\r\nRATE = 0.1  # tuned\ncall(every=50)  # not tuned\n"
    view = make_view(editable={"train.py": source})
    assert list(first_space(view, 4.0, 8)) == ["train.py:RATE"]
    assert list(first_space(view, 4.0, 8, ("RESERVE",))) == ["train.py:RESERVE"]
    for seed in range(5):
        proposal = Random().propose(make_view(editable={"train.py": source}, seed=seed))
        assert proposal is not None
        assert b"RESERVE = 4" in proposal.files["train.py"]
        assert b"every=50" in proposal.files["train.py"]


ROOT = Path(__file__).parents[2]
SHIPPED = [
    *(file for file in (ROOT / "tasks").rglob("train.py") if file.parent.name != "golden"),
    ROOT / "harness/templates/task/train.py.template",
]


@pytest.mark.parametrize("source", SHIPPED, ids=lambda source: source.parent.name)
def test_shipped_tasks_do_not_offer_their_reserve(source: Path) -> None:
    """What a control would tune in our own tasks is no time that is kept back for the end."""
    names = [each.name for each in find_constants("train.py", source.read_bytes()) if each.tuned]
    assert not [name for name in names if "RESERVE" in name or "ENDING" in name]


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


@pytest.mark.parametrize("agent", [Random(), Random(changes=3), Optuna(warm_up=2), CmaEs(population=4)])
def test_controls_are_stateless_and_change_numbers_only(
    agent: Random | Optuna | CmaEs, make_view: MakeView, decide: Decide
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


TUNERS = {
    "optuna": lambda: Optuna(names=("LEARNING_RATE", "train.momentum"), warm_up=5),
    "cma_es": lambda: CmaEs(names=("LEARNING_RATE", "train.momentum"), population=5),
}


def sizes_of(proposal: Proposal) -> dict[str, float]:
    sizes = proposal.state["sizes"]
    assert isinstance(sizes, dict)
    return {name.partition(":")[2]: float(size) for name, size in sizes.items()}  # type: ignore[arg-type]  # numbers


def distance(sizes: dict[str, float]) -> float:
    """From the best learning rate of the bowl, in natural logarithms; its momentum is worth nothing."""
    return abs(math.log(sizes["LEARNING_RATE"] / 2e-2))


@pytest.mark.parametrize("name", TUNERS)
@pytest.mark.parametrize("direction", Direction)
def test_tuners_learn_from_the_history(
    name: str, direction: Direction, make_view: MakeView, decide: Decide
) -> None:
    """On a bowl, proposals after thirty scores lie nearer to the optimum than the first five do."""
    agent = TUNERS[name]()
    view, distances = make_view(baseline_score=None, direction=direction), []
    for _ in range(35):
        proposal = agent.propose(view)
        assert proposal is not None
        distances.append(distance(sizes_of(proposal)))
        view = decide(view, proposal, distances[-1] * (1 if direction is Direction.MINIMIZE else -1))
    assert sum(distances[-10:]) / 10 < sum(distances[:5]) / 5


@pytest.mark.parametrize("name", TUNERS)
def test_tuners_learn_from_failures(name: str, make_view: MakeView, decide: Decide) -> None:
    """Learning rates above .005 crash and nothing else depends on them: of crashes that are told, fewer follow."""

    def crashes(reason: str) -> int:
        """Of the last twenty proposals. reason: what the history says of a crash."""
        agent, view, found = TUNERS[name](), make_view(baseline_score=None), []
        for _ in range(45):
            proposal = agent.propose(view)
            assert proposal is not None
            rate = sizes_of(proposal)["LEARNING_RATE"]
            found.append(rate > 0.005)
            score = None if found[-1] else sizes_of(proposal)["train.momentum"]
            view = decide(view, proposal, score, reason=reason if found[-1] else "keep.futile")
        return sum(found[-20:])

    assert crashes("crashed.exit_1") < crashes("inconclusive.disturbed") / 2


def test_what_is_a_failure_and_what_says_nothing(make_view: MakeView, decide: Decide) -> None:
    """A guard's rejection is one even with a good score; disturbed trials and what was rolled back unseen are none."""
    agent, view = Optuna(names=("LEARNING_RATE", "DEPTH[0]")), make_view()
    cases = {
        "crashed.exit_1": (None, True),
        "seed.used": (0.1, True),
        "duplicates.repeated": (None, True),
        "keep.futile": (1.4, False),
        "inconclusive.disturbed": (None, None),
        "keep.rolled_back": (None, None),
    }
    for reason, (score, _) in cases.items():
        proposal = agent.propose(view)
        assert proposal is not None
        view = decide(view, proposal, score, reason=reason)
    space = first_space(view, 4.0, 8)
    failed = [each.loss is None for each in told(view, space)]
    assert failed == [what for _, what in cases.values() if what is not None]
    states = [trial.state.name for trial in past_trials(view, space)]
    assert states == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED", "COMPLETE"], "the first one is the baseline"


def test_pruned_trials_are_the_worst_for_tpe(make_view: MakeView, decide: Decide) -> None:
    """What optuna does with such trials is its own affair, and the reason why we write them: this notices a change."""
    from optuna.samplers._tpe.sampler import _split_trials
    from optuna.study import create_study

    agent, view = Optuna(names=("LEARNING_RATE",)), make_view(baseline_score=None)
    for score in (1.3, None, 1.2, None, 1.1, None):
        proposal = agent.propose(view)
        assert proposal is not None
        reason = "crashed.exit_1" if score is None else "keep.futile"
        view = decide(view, proposal, score, reason=reason)
    study = create_study()
    for trial in past_trials(view, first_space(view, 4.0, 8)):
        study.add_trial(trial)
    below, above = _split_trials(study, study.trials, 3, False)
    assert [trial.value for trial in below] == [1.3, 1.2, 1.1]
    assert [trial.value for trial in above] == [None] * 3


losses = st.one_of(st.none(), st.floats(-1e6, 1e6))


@given(st.lists(st.tuples(losses, st.floats(0, 2)), min_size=1, max_size=20))
def test_failures_rank_behind_every_loss(found: list[tuple[float | None, float]]) -> None:
    """And among themselves by their distance from the mean, so that a generation that failed whole draws back."""
    points = [((float(at),), loss, far) for at, (loss, far) in enumerate(found)]
    ordered = [int(point[0]) for point, _ in sorted(ranked(points), key=lambda pair: pair[1])]
    assert sorted(ordered) == list(range(len(found)))
    failed = [at for at in ordered if found[at][0] is None]
    assert ordered[len(ordered) - len(failed) :] == failed
    assert [found[at][1] for at in failed] == sorted(found[at][1] for at in failed)


def test_a_generation_that_failed_whole_draws_back() -> None:
    """All far points fail: the next generation is drawn nearer to the program that is known to work."""
    space = {name: range_around(0.01, 4.0) for name in "ab"}
    first = Evolution(space, population=6)
    far = [point for _, point in first.draws(seed=1)][:6]
    after = Evolution(space, [(point, None) for point in far], population=6)
    assert after.generation == 1
    assert sum(after.deviations.values()) < sum(first.deviations.values())
    assert after.centre["a"] == pytest.approx(0.01, rel=0.5)


spans = st.one_of(
    st.floats(1e-6, 1e6).map(lambda value: range_around(value, 4.0)),
    st.integers(2, 1 << 20).map(lambda value: range_around(value, 4.0)),
    st.integers(1, 20).map(lambda power: range_around(1 << power, 4.0)),
)


@given(st.dictionaries(st.sampled_from("abcdef"), spans, min_size=1), st.integers(0, 2**32 - 1), st.data())
def test_an_evolution_stays_inside_its_space(space: dict[str, Range], seed: int, data: st.DataObject) -> None:
    """Whatever is searched and whatever losses it was told: sizes of the right kind within the range, reproducibly."""
    evolution = Evolution(space, population=4)
    if not evolution.searched:
        return
    for _ in range(2):
        points = [point for _, point in zip(range(4), evolution.draws(seed), strict=False)]
        more = [(point, data.draw(losses)) for _, point in points]
        evolution = Evolution(space, [*evolution.told, *more], population=4)
    again = Evolution(space, evolution.told, population=4)
    for (sizes, point), repeated, _ in zip(evolution.draws(seed), again.draws(seed), range(5), strict=False):
        assert (sizes, point) == repeated
        for name, size in sizes.items():
            assert size == space[name].clip(size)
            assert isinstance(size, float) is (space[name].kind == "float")


def test_cma_es_ignores_what_others_proposed(make_view: MakeView, decide: Decide) -> None:
    """A proposal of the same space without a point (of another agent, say) is passed over, not misread."""
    agent = CmaEs(names=("LEARNING_RATE",), population=4)
    view = make_view()
    for _ in range(5):
        proposal = agent.propose(view)
        assert proposal is not None
        state = {key: value for key, value in proposal.state.items() if key != "point" or view.number > 1}
        view = decide(view, proposal, 1.4, state=state)
    space = first_space(view, 4.0, 8)
    assert evolution_of(space, told(view, space), 4).generation == 1


def test_controls_end_when_there_is_nothing_to_tune(make_view: MakeView) -> None:
    """No numbers: no proposal, so the session ends in order."""
    view = make_view(editable={"train.py": b"print('hello')\n"})
    assert Random().propose(view) is None
    assert Optuna().propose(view) is None
    assert CmaEs().propose(view) is None


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
