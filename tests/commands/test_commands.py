"""What every command promises: help with examples, one line for a mistake, an answer at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import about, commands, run_named
from harness.config.options import options
from tests.config.test_config import call


@pytest.mark.parametrize("name", [name for name in commands() if name != "start"])
def test_help_says_what_it_does_with_examples(name: str) -> None:
    """The first line names the command and what it is for; examples are commands that could be typed."""
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    assert f"`harness {name}" in out
    examples = [
        line for line in out.partition("Examples:\n")[2].splitlines() if line.startswith("    harness ")
    ]
    assert examples
    assert any(line.split()[1] == name for line in examples)
    assert len(about()[name]) > 20


@pytest.mark.parametrize("name", [name for name in commands() if name != "start"])
@pytest.mark.parametrize("argument", ["--nonsense", "no/such/place", "x\ny"])
def test_a_mistake_is_one_line(name: str, argument: str, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Unknown options and places that are not there: exit code 2, one line, nothing written."""
    monkeypatch.chdir(tmp_path)
    if name == "list" and argument == "--nonsense":
        argument = "--also"
    code, out, err = call(name, argument, *(["best"] if name == "checkout" else []))
    assert (code, err.count("\n")) == (2, 1), (out, err)
    assert err.startswith("harness")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["reprot", "x"], ["nanochat"], ["--verbose"], ["report", "--help"]])
def test_a_wrong_command_loads_nothing_heavy(arguments: list[str]) -> None:
    """It answers in the time that Python takes to start, because nothing that takes time is imported."""
    program = (
        "import sys; from harness.__main__ import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print('loaded', sorted({'torch', 'hydra', 'omegaconf', 'numpy', 'anthropic', 'pandas', 'git', 'scipy'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


def test_the_help_names_every_command_and_every_option() -> None:
    """`harness --help` is enough to find all of them."""
    out = call("--help")[1]
    for name, words in about().items():
        assert f"  {name} " in out
        assert words in out
    for option in (
        "--cfg",
        "--resolve",
        "--package",
        "--info",
        "-cd",
        "-cn",
        "-cp",
        "-sc",
        "--hydra-help",
        "--dry-run",
    ):
        assert option in out
    assert options([]).overrides == ()


def test_an_error_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file holds is quoted in an error's line with its control characters spelt out."""
    file = tmp_path / "results.tsv"
    file.write_text("commit\tva\x1b[31ml\x9b2J\tdescription\na\t1\tx\n")
    assert run_named("replay-night", [str(file)]) == 2
    said = capsys.readouterr().err
    assert "va\\x1b[31ml\\x9b2j" in said.lower()
    assert said.rstrip("\n").isprintable()
