"""The scripts behind docs/statistics.md."""

import ast
import json
from pathlib import Path
from typing import Any

import null_proposals
import numpy as np
import pytest
import seed_correlation
import simulate_early_stop
import simulate_keep_rules
import synthetic_nights

from harness.agents.api.patches import apply, read_patch
from harness.keep.early_stop import EarlyStop

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", ["digits", "nanochat"])
def test_null_proposals_change_nothing(task: str) -> None:
    """Twenty patches that apply; but for names of variables and products of constants the programs are the same."""
    source = (ROOT / "tasks" / task / "train.py").read_text()
    found = null_proposals.proposals(source)[:20]
    assert len(found) == 20
    for what, changed in found:
        assert changed != source
        edit = apply(
            read_patch(null_proposals.patch(source, changed, what, "train.py").encode()),
            {"train.py": source.encode()},
        )
        assert edit.files == {"train.py": changed.encode()}
        assert _shape(changed) == _shape(source)


def _shape(source: str) -> list[str]:
    """The program as its nodes, names of variables left out and products of whole numbers multiplied."""

    class Folded(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            if isinstance(node.op, ast.Mult) and all(
                isinstance(side, ast.Constant) and type(side.value) is int for side in (node.left, node.right)
            ):
                return ast.Constant(node.left.value * node.right.value)  # type: ignore[attr-defined] # just checked
            return node

    tree = Folded().visit(ast.parse(source))
    return [
        repr(node.value) if isinstance(node, ast.Constant) else type(node).__name__ for node in ast.walk(tree)
    ]


def test_simulation_prints_and_writes_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules that are asked for, as a line each, as CSV, as Markdown tables and as a picture."""
    words = [
        "--nights",
        "2",
        "--out",
        str(tmp_path),
        "--rules",
        "greedy",
        "stack",
        "--kinds",
        "null 100",
        "all 100",
    ]
    monkeypatch.setattr("sys.argv", ["simulate_keep_rules", *words, "--conditions", "Gaussian"])
    assert simulate_keep_rules.main() == 0
    assert "stack" in capsys.readouterr().out
    cells = 2 * 2
    rows = (tmp_path / "nights.csv").read_text().splitlines()
    assert len(rows) == 1 + cells * len(simulate_keep_rules.FIGURES)
    assert "| Gaussian |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "nights.png").stat().st_size > 10_000


OWN: dict[str, Any] = {
    "sd": 1.0,
    "nights": {
        "recorded": {"slots": 30, "effects": [3.0, 0.0, -1.0, 4.0], "in_order": True},
        "nothing": {"slots": 30, "effects": [0.0]},
        "two parts": {"slots": 30, "effects": [
            {"proposals": 3, "improves": 1.0, "nothing": 0.0, "gain": 5.0, "harm": 0.0},
            {"improves": 0.0, "nothing": 0.5, "gain": 0.0, "harm": 9.0}]},
    },
    "conditions": {
        "quiet": {},
        "measured": {"residuals": [0.1, -0.4, 1.2, -0.9, 0.0, 0.3], "residual_block": 2, "drift": 0.5},
    },
}  # fmt: skip


def played(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["simulate_keep_rules", *words])
    return simulate_keep_rules.main()


def test_nights_of_ones_own_are_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded effects in their order, measured residuals in runs, parts of a night: a line for each, and tables."""
    file = tmp_path / "own.json"
    file.write_text(json.dumps(OWN))
    assert (
        played(["--file", str(file), "--nights", "3", "--rules", "greedy", "race", "--every"], monkeypatch)
        == 0
    )
    said = capsys.readouterr().out
    for condition in OWN["conditions"]:
        for night in OWN["nights"]:
            assert sum(line.startswith(condition) and f" {night} " in line for line in said.splitlines()) == 2
    assert "| measured |" in said
    book = synthetic_nights.read(file)
    rng = np.random.default_rng(0)
    assert book.nights["recorded"].draw(rng, 6).tolist() == [3.0, 0.0, -1.0, 4.0, 3.0, 0.0]
    assert set(book.conditions["measured"].noise(rng, 50)) <= set(OWN["conditions"]["measured"]["residuals"])


def test_nights_in_which_nothing_can_be_gained_have_no_share_of_gain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where greedy gains nothing there is no ratio to it; the rest of the table is there."""
    file = tmp_path / "own.json"
    nights = {
        "harm": {"slots": 10, "effects": [-50.0] * 30 + [1.0], "in_order": True},
        "nothing": {"slots": 10, "effects": [0]},
    }
    file.write_text(json.dumps({"sd": 1, "nights": nights, "conditions": {"a": {}}}))
    assert played(["--file", str(file), "--nights", "2", "--rules", "greedy", "PACE"], monkeypatch) == 0
    assert "nan" in capsys.readouterr().out


def changed(**parts: object) -> str:
    return json.dumps({**OWN, **parts})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Expecting value"),
        ("[1, 2]", "must be an object"),
        ("[" * 100_000, "recursion"),
        ('{"sd": 1}', "nights must be an object"),
        (changed(nights={}), "nights holds nothing to play"),
        (changed(conditions={}), "conditions holds nothing to play"),
        (changed(sd=0), "sd is 0"),
        (changed(sd="5"), "sd is '5'"),
        (changed(sd=float("nan")), "sd is nan"),
        (changed(more=1), "the file has 'more'"),
        (changed(nights={"n": {"slots": 3, "effects": [1]}}), "night 'n': slots is 3"),
        (changed(nights={"n": {"slots": 100, "effects": []}}), "effects is a list"),
        (changed(nights={"n": {"slots": 100, "effects": ["a"]}}), "0 is 'a'"),
        (changed(nights={"n": {"slots": 100, "effects": [1, {"improves": 1}]}}), "part 1 must be an object"),
        (changed(nights={"n": {"slots": 100, "effects": [{"improves": 1}]}}), "nothing is missing"),
        (changed(nights={"n": {"effects": [1]}}), "slots is missing"),
        (changed(nights={"n": {"slots": 100, "effects": [1], "drift": 1}}), "has 'drift'"),
        (changed(conditions={"c": {"degrees": 2}}), "degrees is 2"),
        (changed(conditions={"c": {"autoregression": 1}}), "autoregression is 1"),
        (changed(conditions={"c": {"seed_share": 1.5}}), "seed_share is 1.5"),
        (changed(conditions={"c": {"residuals": [1], "residual_block": 2}}), "residual_block is 2"),
        (changed(conditions={"c": {"residuals": 3}}), "must be a list of numbers"),
        (changed(conditions={"c": {"stored_sd": 0}}), "stored_sd is 0"),
        (changed(conditions={"c": {"spred": 2}}), "has 'spred'; it may have autoregression"),
    ],
)
def test_an_odd_file_is_one_line(
    content: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, the file's name, what is wrong and where; nothing is played."""
    file = tmp_path / "odd.json"
    file.write_text(content)
    assert played(["--file", str(file), "--nights", "2"], monkeypatch) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"{file}: ")
    assert said in found.err
    assert len(found.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--file", "not/there.json"], "No such file"),
        (["--rules", "stak"], "--rules stak: there is no such one, but greedy, stack"),
        (["--conditions", "Gauss"], "--conditions Gauss"),
        (["--nights", "1"], "--nights must be 2 or more"),
    ],
)
def test_an_odd_argument_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert played(words, monkeypatch) == 2
    found = capsys.readouterr()
    assert (found.out, len(found.err.splitlines())) == ("", 1)
    assert said in found.err


def test_early_stop_saves_little_where_it_costs_little() -> None:
    """The figures that keep it off by default: 6 % saved, 4 % of improvements lost; stricter settings lose half."""
    mild = simulate_early_stop.measure(EarlyStop(0.5, 1.5), remaining=20, path=1, count=400)
    strict = simulate_early_stop.measure(EarlyStop(0.5, 1.0), remaining=20, path=1, count=400)
    assert 0.02 < mild.saved < 0.12
    assert mild.lost < 0.1
    assert strict.saved > 0.25
    assert strict.lost > 0.3


def test_correlation_of_seeds_is_found_with_its_interval() -> None:
    """Losses that share two thirds of their variance by seed; ones that share nothing are not worth pairing."""
    rng = np.random.default_rng(4)
    shared, own = rng.normal(size=40), rng.normal(size=(2, 40))
    near = [(1 + 0.8 * shared + 0.4 * each).tolist() for each in own]
    value, low, high = seed_correlation.correlation(*near)
    assert low < 0.8 < high
    assert value == pytest.approx(float(np.corrcoef(near)[0, 1]))
    said = list(seed_correlation.lines({"a": near[0], "b": near[1]}))
    assert "pairing by seed is worth building" in said[-1]
    apart = {"a": own[0].tolist(), "b": own[1].tolist()}
    assert "pairing by seed is not worth building" in list(seed_correlation.lines(apart))[-1]
    few = {name: losses[:5] for name, losses in {"a": near[0], "b": near[1]}.items()}
    assert "cannot tell" in list(seed_correlation.lines(few))[-1], "five seeds show nothing either way"
    with pytest.raises(ValueError, match="four seeds"):
        seed_correlation.correlation([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="do not vary"):
        seed_correlation.correlation([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])


def test_the_share_that_seeds_have_in_common_is_within_its_interval() -> None:
    """In 93 to 97 % of 1,000 tables of twelve seeds and four programs whose correlation is .3."""
    rng, held = np.random.default_rng(18), 0
    for _ in range(1000):
        seeds, own = rng.normal(size=12), rng.normal(size=(4, 12))
        losses = 0.3**0.5 * seeds + 0.7**0.5 * own + np.arange(4)[:, None]  # programs differ in the mean
        value, low, high = seed_correlation.agreement(losses.tolist())
        assert low <= value <= high
        held += low <= 0.3 <= high
    assert 930 <= held <= 970


def test_a_part_of_the_budget_foretells_what_it_foretells() -> None:
    """Programs keep their order at 30 %, seeds do not: both are said, each with its interval."""
    rng = np.random.default_rng(19)
    names = ("a", "b", "c", "d")
    whole, part = (
        {name: (10.0 * place + rng.normal(size=12)).tolist() for place, name in enumerate(names)}
        for _ in range(2)
    )
    order, between, within = seed_correlation.curve_lines(whole, part, 0.3)
    assert order.count("a, b, c, d") == 2
    assert "means of 4 programs at 30% and at the whole: +1.00" in between
    value = float(within.split(": ")[1].split()[0])
    assert abs(value) < 0.5
