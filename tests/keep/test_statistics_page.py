"""docs/statistics.md states what the code does: each single figure is on the page, and comes out again."""

import re
from pathlib import Path

import pytest
import statistics_figures
from statistics_figures import FIGURES

PAGE = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_on_the_page_as_the_script_has_it(name: str) -> None:
    """In the words of the script; the page names the script."""
    assert FIGURES[name].written in " ".join(PAGE.split())
    assert "scripts/statistics_figures.py" in PAGE


@pytest.mark.slow
def test_the_figures_come_out_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within four standard errors of what is stated."""
    monkeypatch.setattr("sys.argv", ["statistics_figures", "--count", "1000"])
    assert statistics_figures.main() == 0, capsys.readouterr().out


def test_every_script_and_test_that_the_page_names_is_there() -> None:
    """And so are the modules."""
    root = Path(__file__).parents[2]
    named = {word.strip("(),;:").rstrip(".") for word in re.split(r"[`\s\[\]]", PAGE)}
    files = {
        word for word in named if word.endswith((".py", ".json", ".md")) and "/" in word and "<" not in word
    }
    assert len(files) > 8
    places = (root, root / "docs")
    assert [name for name in sorted(files) if not any((place / name).is_file() for place in places)] == []
