"""Typed with a Python that is not the one harness was installed into: one line that says so, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import EXIT_INTERRUPTED, EXIT_USER_ERROR, _last_words, commands, run, run_named
from harness.errors import UserError, missing_package

ROOT = Path(__file__).parents[2]


def bare(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """`python WORDS` in the folder, without any package but Python's own (-S)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-S", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "command", [["harness"], ["harness", "agent=claude"], ["harness", "-m", "repeat=0,1"]]
)
def test_a_session_says_which_python_lacks_what(command: list[str], tmp_path: Path) -> None:
    """No traceback, and nothing is written."""
    done = bare("-m", *command, folder=tmp_path)
    assert (done.returncode, done.stdout, [*tmp_path.iterdir()]) == (EXIT_USER_ERROR, "", [])
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"harness: {sys.executable} lacks the package '")
    assert "use the Python that harness was installed into" in line


@pytest.mark.parametrize("name", [each.replace("-", "_") for each in commands() if each != "new-task"])
def test_every_command_does(name: str, tmp_path: Path) -> None:
    """As `harness NAME` and as `python -m harness.NAME`, whose file is imported before anybody can catch anything."""
    for words in (["harness", name.replace("_", "-"), "x"], [f"harness.{name}", "x"]):
        done = bare("-m", *words, folder=tmp_path)
        assert done.returncode == EXIT_USER_ERROR, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["new-task", "mine"], ["glossary", "sd"]])
def test_what_needs_no_package_works(words: list[str], tmp_path: Path) -> None:
    """Whoever has the wrong Python can still read the help."""
    assert bare("-m", "harness", *words, folder=tmp_path).returncode == 0


def test_a_package_that_one_command_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it is imported: at the top of the command's file or while it works."""
    monkeypatch.setitem(sys.modules, "filelock", None)
    monkeypatch.delitem(sys.modules, "harness.session.folder", raising=False)
    monkeypatch.delitem(sys.modules, "harness.commands.doctor", raising=False)

    def late(_: list[str]) -> int:
        import filelock

        return len(filelock.__name__)

    assert run(late, argv=[]) == EXIT_USER_ERROR
    assert "lacks the package 'filelock'" in capsys.readouterr().err


def test_a_package_that_refuses_is_said_in_its_words() -> None:
    """A broken build of it; several lines become one."""
    found = missing_package(ImportError("libx.so: cannot open\n  shared object", name="x"))
    assert isinstance(found, UserError)
    assert "refuses a package: libx.so: cannot open shared object;" in str(found)


@pytest.mark.parametrize("module", ["harness.nonsense", "guards.nonsense", "harness"])
def test_a_module_of_ours_is_our_mistake(module: str) -> None:
    """Never hidden behind a line about packages."""

    def fails(_: list[str]) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    with pytest.raises(ModuleNotFoundError):
        run(fails, argv=[])


def test_ctrl_c_while_a_command_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, as later; what is neither is shown as ever."""
    with pytest.raises(SystemExit) as left:
        _last_words(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert left.value.code == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "\nharness: interrupted before it began\n"
    _last_words(ValueError, ValueError("ours"), None)
    assert "ValueError: ours" in capsys.readouterr().err


def test_a_command_that_is_imported_leaves_the_interpreters_hook_alone() -> None:
    """Only `python -m harness.NAME` gets last words of ours."""
    assert run_named("glossary", ["sd"]) == 0
    assert "harness" not in sys.excepthook.__module__
