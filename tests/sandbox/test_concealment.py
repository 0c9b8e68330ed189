"""However the harness is installed, untrusted programs see nothing of it but the gate."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.records import Level
from harness.sandbox.host import concealment
from harness.sandbox.host.programs import needed_by
from harness.sandbox.open import Command, Sandbox

ROOT = Path(__file__).resolve().parents[2]
LOOK = b"""
import importlib, os, sys
import neighbour
beside = os.path.dirname(os.path.dirname(neighbour.__file__))
tops = {beside, os.path.realpath(beside), *sys.path, sys.prefix, os.path.dirname(os.__file__)}
for place in list(tops):
    for _ in range(5):
        place = os.path.dirname(place)
        tops.add(place)
seen = set()
for top in tops:
    for name in ("harness", "guards", "tasks", "harness/tasks", "harness-0.1.0.dist-info", "bin/harness"):
        path = os.path.realpath(os.path.join(top, name))
        if path.startswith(os.environ["GATE"]):
            continue
        try:
            if os.listdir(path) if os.path.isdir(path) else open(path, "rb").read():
                seen.add(path)
        except OSError:
            pass
gate = importlib.import_module("harness.gate")
print("seen", sorted(seen), "gate", gate.__file__.startswith(os.environ["GATE"]), "twin", neighbour.VALUE)
"""
START = """
import sys
from harness.records import Level
from harness.sandbox.open import Command, Sandbox
from harness.trial.local import gate_files
sandbox = Sandbox(Level[sys.argv[1]])
tree = {"look.py": sys.stdin.buffer.read(), **gate_files()}
gate = "/trial/tree" if sandbox.mechanism > 1 else "/tmp/harness-"
command = Command("look.py", tree=tree, environment={"GATE": gate})
with sandbox.start(command) as process:
    process.wait(20)
    print(process.log)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment into which a wheel of the harness was installed, beside another library."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    quiet = {"check": True, "capture_output": True}
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)], **quiet)  # type: ignore[call-overload] # flags
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], **quiet)  # type: ignore[call-overload] # flags
    python = folder / "env/bin/python"
    subprocess.run([*pip, "--python", str(python), "install", "-q", "--no-deps", str(wheel)], **quiet)  # type: ignore[call-overload] # flags
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    assert (packages / "harness/tasks/digits/evaluate.py").exists()
    (packages / "neighbour").mkdir()
    (packages / "neighbour/__init__.py").write_text("VALUE = 7\n")
    return python


def test_a_wheel_shows_a_trial_nothing_of_ours(installed: Path, sandbox: Sandbox) -> None:
    """A task's private files lie in site-packages: no trial reads or lists them; the libraries beside them work."""
    level = sandbox.mechanism.name
    environment = {"TMPDIR": "/tmp", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(installed), "-c", START, level],
        input=LOOK,
        capture_output=True,
        check=True,
        env=environment,
        cwd="/",
    )
    assert done.stdout.decode().split("\n")[0] == "seen [] gate True twin 7"


def test_without_concealment_the_attack_finds_them(installed: Path) -> None:
    """The attack has teeth: the same program outside a sandbox sees the package and its tasks."""
    environment = {"GATE": "/nowhere"}
    done = subprocess.run(
        [str(installed), "-c", LOOK.decode()], capture_output=True, check=True, env=environment
    )
    assert b"site-packages/harness/tasks'" in done.stdout


@pytest.fixture
def forget() -> Iterator[None]:
    """What is hidden is found out once a process; here, again."""
    concealment.concealed.cache_clear()
    yield
    concealment.concealed.cache_clear()


@pytest.mark.usefixtures("forget")
def test_a_checkout_inside_a_readable_folder_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a folder that trials read, with the environment inside it: all but the environment is ours."""
    checkout = tmp_path / "usr/src/harness"
    for name in ("harness", "tasks", ".venv/lib"):
        (checkout / name).mkdir(parents=True)
    monkeypatch.setattr(concealment, "ours", lambda: (str(checkout), str(checkout / "harness")))
    readable = (str(tmp_path / "usr"), str(checkout / ".venv"))
    assert concealment.concealed(readable) == (str(checkout / "harness"), str(checkout / "tasks"))
    assert concealment.concealed((str(checkout / ".venv"),)) == ()


def test_pieces_open_everything_but_ours(tmp_path: Path) -> None:
    """At level 1 a folder that holds ours is opened entry by entry; links are not followed."""
    packages = tmp_path / "lib/site-packages"
    for name in ("harness", "numpy"):
        (packages / name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib/outside").symlink_to("/etc")
    pieces = concealment.in_pieces((str(tmp_path),), (str(packages),), (str(packages / "harness"),))
    assert pieces.readable == (str(tmp_path / "bin"), str(packages / "numpy"))
    assert pieces.linked == {"packages0": [str(packages / "numpy")]}
    assert pieces.packages == ["{folder}/packages0"]


def test_a_program_in_a_home_shows_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/bin/node comes with its libraries alone; a script at home with nothing beside it; elsewhere with its folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libnode.so.1").touch()
    node, script, other = tmp_path / "bin/node", tmp_path / "agent", tmp_path / "bin/agent"
    node.write_bytes(b"\x7fELF...")
    script.write_text("#!/bin/sh")
    other.write_text("#!/bin/sh")
    assert needed_by(str(node)) == [str(node), str(tmp_path / "lib/libnode.so.1")]
    assert needed_by(str(script)) == [str(script)]
    assert needed_by(str(other)) == [str(tmp_path / "bin")]


@pytest.mark.usefixtures("forget")
def test_the_base_interpreters_own_library_can_be_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed without an environment, ours lies inside the standard library's folder: that works at level 1, too."""
    inside = f"{os.path.dirname(os.path.realpath(os.__file__))}/json"
    monkeypatch.setattr(concealment, "ours", lambda: (inside,))
    code = b"import os, decimal, _ctypes\ntry: import json\nexcept ImportError: print('hidden', os.__file__)"
    try:
        with Sandbox(Level.L1).start(Command("a.py", tree={"a.py": code})) as process:
            process.wait(20)
            assert process.log.startswith("hidden /tmp/harness-"), process.log
    except Exception as error:
        if "Landlock" in str(error):
            pytest.skip(f"isolation level L1 is not to be had here: {error}")
        raise
