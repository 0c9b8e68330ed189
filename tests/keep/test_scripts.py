"""The scripts behind docs/statistics.md."""

import ast
from pathlib import Path

import null_proposals
import pytest
import simulate_early_stop
import simulate_keep_rules

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
    words = ["--nights", "2", "--out", str(tmp_path), "--rules", "greedy", "stack", "--kinds", "null 100", "all 100"]
    monkeypatch.setattr("sys.argv", ["simulate_keep_rules", *words, "--conditions", "Gaussian"])
    assert simulate_keep_rules.main() == 0
    assert "stack" in capsys.readouterr().out
    cells = 2 * 2
    rows = (tmp_path / "nights.csv").read_text().splitlines()
    assert len(rows) == 1 + cells * len(simulate_keep_rules.FIGURES)
    assert "| Gaussian |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "nights.png").stat().st_size > 10_000


def test_early_stop_saves_little_where_it_costs_little() -> None:
    """The figures that keep it off by default: 6 % saved, 4 % of improvements lost; stricter settings lose half."""
    mild = simulate_early_stop.measure(EarlyStop(0.5, 1.5), remaining=20, path=1, count=400)
    strict = simulate_early_stop.measure(EarlyStop(0.5, 1.0), remaining=20, path=1, count=400)
    assert 0.02 < mild.saved < 0.12
    assert mild.lost < 0.1
    assert strict.saved > 0.25
    assert strict.lost > 0.3
