"""Isolation where people rent: with the rights that a Docker container has by default, as root and as a user."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
USER = "23456"
MEASURE = """
import json
from harness.records import Level
from harness.sandbox.host.causes import cause
from harness.sandbox.host.measure import measured
from harness.sandbox.open import Sandbox
results = {level.name: measured(Sandbox(level).start) for level in (Level.L3, Level.L2, Level.L1)}
print(json.dumps([results, {name: cause(Level[name], result).what for name, result in results.items()}]))
"""
BURN = b"""
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(20):
    if os.fork() == 0:
        end = time.process_time() + 0.05
        while time.process_time() < end: pass
        os._exit(0)
try:
    while True: os.wait()
except ChildProcessError: pass
"""
COUNT = """
import json, sys
from harness.records import Level
from harness.sandbox.open import Command, Sandbox
with Sandbox(Level.L1).start(Command("a.py", tree={"a.py": sys.stdin.buffer.read()})) as process:
    end = process.wait(60)
    print(json.dumps([process.exact_cpu_clock, process.cpu_clock_of_kernel, end.cpu_seconds, process.log]))
"""


@cache
def python_for_everybody() -> str:
    """An interpreter that other users can get to. The sandbox needs nothing but the standard library."""
    if os.geteuid() != 0:
        pytest.skip("isolation levels of a container are emulated by root only")
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        asks = [
            sys.executable,
            str(HERE / "docker_defaults.py"),
            "--user",
            USER,
            "--",
            path,
            "-c",
            "import tomllib",
        ]
        if os.path.exists(path) and subprocess.run(asks, capture_output=True).returncode == 0:
            return path
    pytest.skip("isolation levels of a container need a Python 3.11 that other users can get to")


def in_container(code: str, *options: str, given: bytes = b"") -> str:
    command = [sys.executable, str(HERE / "docker_defaults.py"), *options, "--", python_for_everybody()]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "TMPDIR": "/tmp"}
    done = subprocess.run(
        [*command, "-c", code], input=given, capture_output=True, env=environment, check=True
    )
    return done.stdout.decode()


@pytest.mark.parametrize("options", [(), ("--user", USER)], ids=["root", "user"])
def test_a_container_with_default_rights_gives_level_1(options: tuple[str, ...]) -> None:
    """Namespaces are refused, and said to be refused by what refuses them; Landlock and the filter hold everything."""
    results, causes = json.loads(in_container(MEASURE, *options))
    assert set(results["L1"].values()) == {True}, results["L1"]
    assert "mark_gate_files" in results["L1"]
    assert "CAP_SYS_ADMIN" in causes["L3"] if not options else "not run as root" in causes["L3"]
    assert causes["L2"] == "a system-call filter (the container's seccomp profile) refuses namespaces"


def test_a_profile_without_landlock_is_called_by_its_name() -> None:
    """A profile that refuses Landlock is no kernel without it."""
    results, causes = json.loads(in_container(MEASURE, "--user", USER, "--refuse", "landlock"))
    assert isinstance(results["L1"], str)
    assert "profile) refuses Landlock" in causes["L1"]


@pytest.mark.parametrize("options", [(), ("--user", USER)], ids=["root", "user"])
def test_children_that_nobody_waits_for_are_billed(options: tuple[str, ...]) -> None:
    """H3: without perf, children of a parent that ignores them still count: a second of work is a second."""
    exact, by_kernel, seconds, log = json.loads(in_container(COUNT, *options, given=BURN))
    told = [line for line in log.splitlines() if "harness-canary-" not in line]  # a probe's, of a test beside this one
    assert told == []
    assert exact
    assert not by_kernel
    assert seconds > 0.95


def test_a_folder_that_others_cannot_pass_is_named(tmp_path: Path) -> None:
    """H7: Python below a closed folder: the folder is named, and not Landlock."""
    if python_for_everybody() == sys.executable:
        pytest.skip("isolation level L1 needs no open folder here: the interpreter is in one")
    command = [sys.executable, str(HERE / "docker_defaults.py"), "--", sys.executable, "-c", MEASURE]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "TMPDIR": "/tmp"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True, text=True, cwd=tmp_path)
    assert "cannot get to the interpreter: /" in done.stdout
    assert "is closed to other users" in done.stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can get to and write in; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="container-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def interpreter(folder: Path) -> str:
    """Python with the packages of this one, for everybody: an environment of its own where this one is closed."""
    python = python_for_everybody()
    if python == sys.executable:
        return python
    asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    if version != [str(number) for number in sys.version_info[:2]]:
        pytest.skip("a session in a container needs this version of Python where other users can get to it")
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(folder / "venv" / "bin" / "python")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--user", USER)], ids=["root", "user"])
def test_a_session_in_a_container_with_default_rights(options: tuple[str, ...], open_folder: Path) -> None:
    """What the Dockerfile starts, at level 1, certified, without an extra right: trials, scores, a decision."""
    settings = [
        "preset=smoke",
        "keep=greedy",
        "budget.proposals=1",
        "budget.seconds=0.5",
        "budget.certificate=0",
    ]
    command = [sys.executable, str(HERE / "docker_defaults.py"), *options, "--", interpreter(open_folder)]
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "TMPDIR": "/tmp",
        "HOME": str(open_folder),
        "HARNESS_CACHE": str(open_folder / "cache"),
    }
    done = subprocess.run(
        [*command, "-m", "harness", *settings],
        capture_output=True,
        env=environment,
        text=True,
        cwd=open_folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (ledger,) = open_folder.glob("sessions/*/ledger.jsonl")
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert (rows[0]["level"], rows[0]["certified"]) == (1, True)
    scored = [row["status"] for row in rows if row["kind"] == "scored"]
    assert len(scored) >= 2  # one more for each that another program disturbed
    assert set(scored) == {"scored"}
    assert [row["kind"] for row in rows if row["kind"] == "decided"] == ["decided"]


def test_the_dockerfile_gives_what_level_1_needs() -> None:
    """A Python that other users can get to, new enough; git; nothing copied that is not there; no extra right asked."""
    text = (ROOT / "Dockerfile").read_text()
    image = re.search(r"^FROM python:(\d+)\.(\d+)-slim AS base$", text, re.MULTILINE)
    assert image
    assert (int(image[1]), int(image[2])) >= (3, 11)
    assert "install -y --no-install-recommends git" in text
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    folders = re.findall(r"^WORKDIR (\S+)$", text, re.MULTILINE)
    assert folders
    assert not any(folder.startswith("/root") for folder in folders)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert not {"runArgs", "privileged", "capAdd", "securityOpt"} & container.keys()
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert f"AS {container['build']['target']}\n" in text
