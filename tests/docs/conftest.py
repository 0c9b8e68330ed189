"""A wheel as a user has it, and the commands of a page as a user types them."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SCRIPT = "#!{python} -P\nimport sys\nsys.argv[0] = 'harness'\nfrom harness.__main__ import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class Page:
    """files: those that the page tells its reader to write. commands: those of its `sh` blocks, in their order."""

    files: dict[str, str]
    commands: list[str]


def page(name: str) -> Page:
    """A page of docs/ whose blocks are marked: ```python title=FILE, ```yaml title=FILE, ```sh."""
    blocks = _BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))
    files = {file: text for _, file, text in blocks if file}
    commands = [
        line for kind, _, text in blocks if kind == "sh" for line in text.splitlines() if line.strip()
    ]
    return Page(files, commands)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel of this checkout is unpacked, with `bin/harness` beside it: nothing comes from the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = place.glob("*.whl")
    zipfile.ZipFile(built).extractall(place / "site")
    (place / "bin").mkdir()
    script = place / "bin" / "harness"
    script.write_text(_SCRIPT.format(python=sys.executable))
    script.chmod(0o755)
    python = place / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return place


Type = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def type_in(wheel: Path, tmp_path: Path) -> Type:
    """Types a line into a shell in an empty folder of the user's, the wheel being installed."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")},
        "PYTHONPATH": str(wheel / "site"),
        "PATH": f"{wheel / 'bin'}:{os.environ['PATH']}",
    }

    def call(line: str, folder: Path = tmp_path, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    return call


def write(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
