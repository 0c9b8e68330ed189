"""Shared by the tests of the sandbox and of the attacks on it: a bench for each isolation level, each forced.

A plugin of tests/conftest.py. A level that this machine cannot give is skipped, and said so at the end.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxUnavailable
from harness.records import Clock, Limits, Role, TrialResult, TrialSpec
from harness.sandbox.open import Command, Sandbox, open_sandbox
from harness.trial.gate_keeper import TrainingFiles
from harness.trial.local import gate_files
from harness.trial.trial import TrialSetting, run_trial

LEVELS = ("L3", "L2", "L1")
PRELUDE = """\
import json, os, signal, socket, sys, time, types
from pathlib import Path
from harness.gate import open_gate
options = types.SimpleNamespace(**{sys.argv[i][2:]: sys.argv[i + 1] for i in range(1, len(sys.argv), 2)})
out, data, seconds = Path(options.out), Path(options.data), float(options.seconds)

def finish(value=0, name="model.json"):
    (out / name).write_text(json.dumps(value))

def tried(attempt):
    "What it gave, or the name of the error."
    try:
        return attempt()
    except BaseException as error:
        return type(error).__name__
"""


class TrialBench:
    """Runs small candidates, made of source text, at one level; warm, as sessions do (COLD_STARTS=1: cold)."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.warm = "COLD_STARTS" not in os.environ
        self.public = folder / "public"
        (self.public / "train").mkdir(parents=True)
        (self.public / "train" / "tokens.txt").write_text("training data")
        (self.public / "meta.json").write_text('{"profile": "cpu"}')
        self.training = TrainingFiles(self.public / "train")
        self.nothing = TrainingFiles(folder / "none")
        self.count = 0

    def trial(
        self,
        source: str,
        *,
        seconds: float = 5.0,
        startup: float = 20.0,
        kind: str = "wall",
        artefact: str = "model.json",
        gated: bool = False,
        tree: Mapping[str, bytes] | None = None,
        gpu: int | None = None,
        temporary_bytes: int = 32 << 20,
        settled: Callable[[], bool] = lambda: True,
        **limits: int,
    ) -> TrialResult:
        """gated: there are training data. settled: as TrialSetting's. limits: fields of records.Limits."""
        self.count += 1
        size = Limits(**{"memory_bytes": 1 << 30, "out_bytes": 32 << 20, **limits})
        spec = TrialSpec(
            f"trial-{self.count}", "commit", Role.CANDIDATE, 7, Clock(kind, seconds, startup), size
        )
        command = Command(
            "train.py",
            ("--data", "{data}", "--out", "{out}", "--seed", "7", "--seconds", str(seconds)),
            tree={"train.py": (PRELUDE + source).encode(), **gate_files(), **(tree or {})},
            public=self.public,
            limits=size,
            gpu=gpu,
            temporary_bytes=temporary_bytes,
            most_files=1024,
            warm=self.warm,
        )
        bench = TrialSetting(self.sandbox, artefact, self.folder, settled)
        return run_trial(bench, spec, command, self.training if gated else self.nothing)

    def answer(self, result: TrialResult) -> Any:
        """What a trial that completed wrote as its JSON artefact."""
        import json

        assert result.outcome == "completed", (result.outcome, result.reason, result.log)
        return json.loads((self.folder / result.artefact).read_text())

    def said(self, source: str, **settings: Any) -> Any:
        """The JSON artefact of a candidate that is expected to complete."""
        return self.answer(self.trial(source, **settings))


@pytest.fixture(scope="session", params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of exactly this level, certified by its own measurement."""
    try:
        opened = open_sandbox(request.param)
    except SandboxUnavailable as error:
        pytest.skip(f"isolation level {request.param} is not to be had here: {error}")
    assert opened.level.name == request.param
    assert opened.certified
    with closing(opened):
        yield opened


@pytest.fixture(scope="session")
def bench(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> TrialBench:
    return TrialBench(sandbox, tmp_path_factory.mktemp("bench"))


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of our own, which other users can enter, as the one that `tempfile` gives."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def best_bench(tmp_path_factory: pytest.TempPathFactory) -> TrialBench:
    """At the best level only, for what the referee does alike at every level."""
    try:
        return TrialBench(open_sandbox(), tmp_path_factory.mktemp("best"))
    except SandboxUnavailable as error:
        pytest.skip(f"no isolation level is to be had here: {error}")


@pytest.fixture(scope="session")
def unheld() -> Mapping[str, Any]:
    """What the self-attacks achieve without a sandbox: attack -> was it blocked."""
    findings = open_sandbox("L0", allow_unsafe=True).findings["L0"]
    assert isinstance(findings, dict)
    return findings


def processes_named(word: str) -> list[int]:
    """Processes with this word on their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(name))
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line at the end of every test session that touched a level: what ran and what did not."""
    counts: dict[str, dict[str, int]] = {level: {} for level in LEVELS}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for level in LEVELS:
                if f"[{level}" in getattr(report, "nodeid", ""):
                    counts[level][outcome] = counts[level].get(outcome, 0) + 1
    words = [
        f"{level}: "
        + (", ".join(f"{number} {outcome}" for outcome, number in count.items()) or "no test ran")
        for level, count in counts.items()
    ]
    if any(counts.values()):
        terminalreporter.section("isolation levels")
        terminalreporter.write_line("; ".join(words))
