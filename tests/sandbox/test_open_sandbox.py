"""The level is measured, and what is not certified does not pass for certified."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from sandbox_levels import TrialBench

from harness.commands import doctor
from harness.errors import InfrastructureError, SandboxUnavailable, UserError
from harness.gate import open_gate
from harness.records import Level
from harness.sandbox.host import measure
from harness.sandbox.host.users import ReservedUser
from harness.sandbox.launcher import begin, landlock
from harness.sandbox.open import Command, Process, Sandbox, open_sandbox


def test_unknown_level_is_the_users_mistake() -> None:
    """One line that lists the choices."""
    with pytest.raises(UserError, match=r"choose auto, L0, L1, L2, L3"):
        open_sandbox("L4")


def test_no_isolation_is_refused_unless_allowed() -> None:
    """L0 raises and names what gets through; allow_unsafe goes on, never certified."""
    with pytest.raises(SandboxUnavailable, match=r"not blocked: .*read_outside.*allow_unsafe=true"):
        open_sandbox("L0")
    unsafe = open_sandbox("L0", allow_unsafe=True)
    assert unsafe.level is Level.L0
    assert not unsafe.certified


def test_self_attacks_have_teeth(sandbox: Sandbox, unheld: Mapping[str, Any]) -> None:
    """What each level blocks, the same attacks achieve without a sandbox: no attack is blocked by being broken."""
    assert all(sandbox.findings[sandbox.level.name].values())  # type: ignore[union-attr] # a mapping when certified
    through = {attack for attack, blocked in unheld.items() if not blocked}
    expected = {
        "read_outside",
        "write_outside",
        "read_harness",
        "watch_outside",
        "connect_out",
        "share_memory",
        "signal_referee",
        "mark_gate_files",
        "keep_something",
        "use_machinery",
    }
    assert expected <= through


def test_auto_takes_the_best_and_says_what_it_tried(sandbox: Sandbox) -> None:
    """auto is at least as good as any level that can be had; findings hold every mechanism that was tried."""
    best = open_sandbox()
    assert best.level >= sandbox.level
    assert best.certified
    assert list(best.findings)[-1] == best.level.name


def test_a_broken_setup_is_told_not_hidden(bench: TrialBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the launcher cannot set the sandbox up, that is ours: infra_failed, with the cause, and nothing is left."""
    monkeypatch.setattr("harness.sandbox.open._LAUNCH", "raise SystemExit('no launcher today')")
    monkeypatch.setattr(bench, "warm", False)  # in a warm interpreter: test_warm.py
    result = bench.trial("finish()")
    assert (result.outcome, result.reason) == ("infra_failed", "sandbox")
    assert "no launcher today" in result.log


def test_a_lost_launcher_is_ours(bench: TrialBench) -> None:
    """The launcher killed from outside: infra_failed, and its trial's processes are gone.

    Also when what it watches has been looked at: the kernel then forgets what it was to do at the launcher's end.
    """
    word = f"lost-{os.getpid()}"
    source = b"import time; time.sleep(60)"
    with bench.sandbox.start(Command("a.py", (word,), {"a.py": source})) as process:
        while not process.memory_bytes:
            assert process.wait(0.05) is None
        process._launcher.kill()
        end = process.wait(20)
    assert end is not None
    assert not end.proven
    assert end.unexplained
    from sandbox_levels import processes_named

    assert processes_named(word) == []


def test_a_lost_first_process_is_ours(bench: TrialBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the program's namespace, with which all in it goes: infra_failed, though nobody is left."""
    if bench.sandbox.mechanism < Level.L2:
        pytest.skip("there are no namespaces, and nobody stands first in them")
    monkeypatch.setattr(bench, "warm", False)
    start = Sandbox.start

    def started(sandbox: Sandbox, command: Command) -> Process:
        process = start(sandbox, command)
        (first,) = psutil.Process(process._launcher._process.pid).children()
        first.kill()
        return process

    monkeypatch.setattr(Sandbox, "start", started)
    result = bench.trial("time.sleep(60)")
    assert (result.outcome, result.reason) == ("infra_failed", "launcher_lost")


def test_a_program_that_is_killed_before_it_begins_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is still to be confined is no candidate yet: nothing was started."""
    monkeypatch.setattr(begin, "become", lambda *_: os.kill(os.getpid(), 9))
    monkeypatch.setattr(begin.kernel, "prctl", lambda *_: 0)
    monkeypatch.setattr(begin, "may_pin", lambda _: True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    plan = SimpleNamespace(level=3, kept=())
    with ours, theirs:
        child, _ = begin.begin(plan, theirs, SimpleNamespace(close=lambda: None), lambda: None)
        os.waitpid(child, 0)
        event = json.loads(ours.recv(4096))
    assert event["event"] == "failed"


def test_a_struck_self_attack_is_made_once_more(sandbox: Sandbox) -> None:
    """A level is not given up because somebody killed the program that measures it; what lasts is told."""
    started: list[Process] = []

    def start(command: Command) -> Process:
        sleeping = replace(command, tree={command.script: b"import time; time.sleep(60)"})  # not over before
        process = sandbox.start(command if started else sleeping)
        started.append(process)
        if len(started) == 1:
            process._launcher.kill()
            process.wait(20)
        return process

    found = measure.measured(start)
    assert isinstance(found, dict)
    assert found == sandbox.findings[sandbox.level.name]
    assert len(started) == 3  # one that was struck, and two as ever

    def never(_: Command) -> Process:
        raise InfrastructureError("the sandbox's launcher ended")

    assert measure.measured(never) == "the sandbox's launcher ended"


def test_users_are_reserved_for_one() -> None:
    """Two reservations differ, lie where nobody has a name, and can be given back."""
    first, second = ReservedUser(), ReservedUser()
    try:
        assert first.number != second.number
        assert first.number % 2 == second.number % 2 == 0
    finally:
        first.close()
        second.close()


def test_gate_works_outside_the_harness(tmp_path: Path) -> None:
    """Without a referee, train.py reads DIR/train and no budget is set."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.bin").write_bytes(b"x")
    training = open_gate(str(tmp_path))
    assert training == {"a.bin": str(tmp_path / "train" / "a.bin")}
    assert (training.seconds, training.steps, training.tokens) == (None, None, None)


def test_gate_imports_the_standard_library_alone() -> None:
    """The file that travels with a candidate needs nothing of ours beside it."""
    code = "import sys, harness.gate; print(sorted(m for m in sys.modules if m.startswith('harness')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['harness',", "'harness.gate']"]


def test_doctor_fits_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """The level, what was blocked, GPU, disk and torch on less than forty lines."""
    code = doctor.main([])
    page = capsys.readouterr().out
    assert code == (0 if doctor.best_level({Level.L1: {"x": True}}) and "L0" not in page else 1)
    assert len(page.splitlines()) < 40
    for word in ("isolation", "read_outside", "gpu", "disk", "torch"):
        assert word in page


def test_doctor_says_what_stands_in_the_way() -> None:
    """Levels that could not be had come with the cause on this machine and its cure."""
    findings = {
        Level.L3: "mount bind on /proc: Permission denied",
        Level.L2: {"connect_out": False},
        Level.L1: {"connect_out": True},
    }
    text = "\n".join(doctor.isolation_lines(findings, doctor.best_level(findings)))  # type: ignore[arg-type] # literal
    assert text.startswith("isolation      L1")
    assert "GETS THROUGH" in text
    assert "L3 cannot be had: " in text
    assert "L2 cannot be had: not blocked: connect_out" in text
    assert "L1 cannot be had" not in text


@pytest.mark.parametrize("version", [1, 5])
def test_level_1_on_older_kernels(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """L1 blocks the same attacks with the Landlock of kernels from 5.13 on, which confines no signals."""
    if landlock.abi() < version:
        pytest.skip(f"isolation level L1 with Landlock {version} is not to be had here")
    monkeypatch.setattr(landlock, "abi", lambda: version)
    assert open_sandbox("L1").certified


@pytest.mark.parametrize(
    ("error", "filtered", "words"),
    [
        (errno.ENOSYS, False, "this kernel has no Landlock"),
        (errno.ENOSYS, True, "either this kernel has no Landlock or a system-call filter"),
        (errno.EPERM, True, "a system-call filter"),
        (errno.EOPNOTSUPP, True, "switched off"),
    ],
)
def test_refusals_of_landlock_have_their_names(
    monkeypatch: pytest.MonkeyPatch, error: int, filtered: bool, words: str
) -> None:
    """Not in the kernel, switched off and refused by a filter are three things, with three cures."""

    def refuse(*_: object) -> int:
        raise OSError(error, "")

    monkeypatch.setattr(landlock, "syscall", refuse)
    refusal = landlock.refusal(filtered)
    assert refusal is not None
    assert words in refusal[0]
    assert landlock.abi() == 0


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_get_one_line(platform: str) -> None:
    """On macOS and Windows every command says in one line that it needs Linux; no traceback."""
    code = (
        f"import sys; sys.platform = {platform!r}; sys.modules['fcntl'] = None\n"
        "from harness.__main__ import main\nsys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"needs Linux, and this is {platform}" in done.stderr
