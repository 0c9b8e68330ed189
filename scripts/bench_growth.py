"""Does a proposal cost more after a thousand others? `python scripts/bench_growth.py [windows=100,1000]`

A played session: real git, ledger, guards, keep rule and trackers; only training and scoring are made up. Earlier
proposals are written straight into ledger and repository, then the session is resumed and decides on some more.
Prints the CPU seconds a proposal of these (this process and its children).
`verify=FOLDER` instead measures one verification of a ledger: seconds and peak memory.
Runs in the checkout that it is started in, so that two builds can be compared side by side.
"""

import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path.cwd()
sys.path.insert(0, str(ROOT))
_WARM, _WINDOW = 3, 12  # the first proposals after a resumption pay for reading the past


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Sampler:
    """A tracker that notes the CPU time at every decision."""

    def __init__(self) -> None:
        self.at = [cpu_seconds()]

    def open(self, folder: Path, session: Any) -> None: ...

    def record(self, row: Any) -> None:
        if (row["kind"] if isinstance(row, dict) else row.kind) == "decided":
            self.at.append(cpu_seconds())

    def close(self) -> None: ...

    def each(self) -> float:
        """Seconds a proposal."""
        return (self.at[_WARM + _WINDOW] - self.at[_WARM]) / _WINDOW


def texts(count: int) -> list[str]:
    """Programs of a real size, each with a number of its own; one in a hundred is better."""
    body = (ROOT / "tasks" / "digits" / "train.py").read_text()
    found, best = [], 1.0
    for number in range(1, count + 1):
        best -= 0.01 if number % 100 == 50 else 0.0
        loss = best if number % 100 == 50 else 1.5 + number / 1000
        found.append(
            f"loss = {loss:.4f} # try {number}\n" + body.replace("HIDDEN = 32", f"HIDDEN = {32 + number}")
        )
    return found


def played(earlier: int) -> float:
    """CPU seconds a proposal after `earlier` others."""
    from guards.classification import Classification
    from guards.complexity import Complexity
    from guards.duplicates import Duplicates
    from guards.scope import Scope
    from tests.session.conftest import Script, World

    programs = texts(earlier + _WARM + _WINDOW)
    with tempfile.TemporaryDirectory() as name:
        home, task = Path(name) / "session", task_in(Path(name) / "task", programs[0])
        home.mkdir()
        guards = (Scope(), Duplicates(), Classification(), Complexity())
        world = World(home, task, Script(programs), guards=guards, budget=budget())
        session = world.session()
        session.referee.measure_baseline()
        runner_of(session).ledger.close()
        session.workspace.close()
        fill(home, programs[:earlier], task)
        return decided(world, home)


def runner_of(session: Any) -> Any:
    """Under the name that the build gives it."""
    return session.trial_runner if hasattr(session, "trial_runner") else session.laboratory


def task_in(folder: Path, program: str) -> Any:
    from harness.records import Direction

    try:
        from harness.task.task import Profile, Task
    except ImportError:  # before a folder was a zone
        from harness.task import Profile, Task  # type: ignore[attr-defined, no-redef, unused-ignore]
    folder.mkdir()
    for file in ("task.yaml", "prepare.py", "evaluate.py", "program.md"):
        (folder / file).write_text(f"# {file}\n")
    (folder / "train.py").write_text("loss = 1.0\n" + program.partition("\n")[2])
    profiles = {"cpu": Profile(seconds=1.0)}
    return Task(str(folder), "loss", Direction.MINIMIZE, ("train.py",), profiles, artefact="model.json")


def budget() -> Any:
    try:
        from harness.task.budget import Budget
    except ImportError:
        from harness.budget import Budget  # type: ignore[import-not-found, no-redef, unused-ignore]
    return Budget(certificate=0)


def fill(home: Path, programs: list[str], task: Any) -> None:
    """Discarded proposals, as a session would have left them."""
    try:
        from harness.ledger.chain import Ledger
    except ImportError:
        from harness.ledger import Ledger  # type: ignore[attr-defined, no-redef, unused-ignore]
    ledger = Ledger(home)
    start = json.loads((home / "ledger.jsonl").read_text().partition("\n")[0])
    commits = committed(home / "repository.git", programs, task, start["baseline_commit"])
    usage = {"input_tokens": 10, "output_tokens": 5, "requests": 1, "dollars": 0.5, "seconds": 1.0}
    for number, (program, commit) in enumerate(zip(programs, commits, strict=True), start=1):
        about = {"trial_id": f"p{number:04d}-1", "commit": commit, "role": "candidate", "proposal": number}
        run = {**about, "seed": number, "attempt": 1}
        ledger.append("proposal_asked", proposal=number)
        ledger.append("proposed", proposal=number, commit=commit, parent=start["baseline_commit"], usage=usage,
                      rationale=program.partition("\n")[0], hypothesis="", problem="", state={}, links={}, files={},
                      deleted=[], patch="")  # fmt: skip
        for guard in ("scope", "duplicates", "classification", "complexity"):
            ledger.append("verdict", proposal=number, stage="static", trial_id=None, guard=guard,
                          judgement="accept", reason="", message="", evidence={})  # fmt: skip
        ledger.append("trial_started", **run, clock={"kind": "wall", "seconds": 1.0}, waited_seconds=0.0)
        ledger.append("trial_finished", **run, level=3, outcome="completed", reason="exit_0", artefact="",
                      billed_seconds=1.0, wall_seconds=1.0, claims={"loss": 1.5, "step": 100})  # fmt: skip
        ledger.append("scored", **about, split="val", status="scored", value=1.5 + number / 1e4, side={}, reason="",
                      detail="", seconds=0.1)  # fmt: skip
        ledger.append("decided", proposal=number, decision="discard", reason="keep.futile", message="", score=1.5,
                      incumbent_score=1.0, commit=commit, seeds=[number], category="hyperparameter", complexity=700,
                      statistics={}, usage=usage, gpu_seconds=1.0)  # fmt: skip
    ledger.close()


def committed(repository: Path, programs: list[str], task: Any, parent: str) -> list[str]:
    """A commit for each program at refs/proposals/NNNN, made by one git."""
    fixed = {name: content for name, content in task.source().items() if name != "train.py"}
    stream = []
    for number, program in enumerate(programs, start=1):
        stream.append(
            b"commit refs/proposals/%04d\nmark :%d\ncommitter x <x@x> 0 +0000\ndata 0\n" % (number, number)
        )
        stream.append(b"from %s\n" % parent.encode())
        for name, content in {**fixed, "train.py": program.encode()}.items():
            stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content))
    marks = repository.parent / "marks"
    command = ["git", "-C", str(repository), "fast-import", "--quiet", f"--export-marks={marks}"]
    subprocess.run(command, input=b"".join(stream), check=True)
    of = dict(line.split() for line in marks.read_text().splitlines())
    return [of[f":{number}"] for number in range(1, len(programs) + 1)]


def decided(world: Any, home: Path) -> float:
    from harness.report.local import LocalTracker

    try:
        from harness.report.terminal.tracker import Terminal
    except ImportError:
        from harness.report.terminal import Terminal  # type: ignore[attr-defined, no-redef, unused-ignore]
    if hasattr(world.script, "thinks_ahead"):  # builds before made a view that nobody looked at
        world.script.thinks_ahead = False
    sampler, trackers = Sampler(), (Terminal(io.StringIO(), live=False), LocalTracker())
    session = world.session(sampler)
    for tracker in trackers:
        tracker.open(home, getattr(runner_of(session).ledger, "rows", runner_of(session).state))
    runner_of(session).trackers = (*trackers, sampler)
    session.run()
    return sampler.each()


def verified(folder: Path) -> None:
    begin = time.process_time()
    try:
        from harness.ledger.chain import check

        rows = check(folder)[0]
    except ImportError:  # a build that read the whole ledger
        from harness.ledger import read

        rows = len(read(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows} rows verified in {time.process_time() - begin:.2f} CPU s, peak memory {peak:.0f} MiB")


def main(arguments: list[str]) -> None:
    given = dict(argument.split("=", 1) for argument in arguments)
    if "verify" in given:
        return verified(Path(given["verify"]))
    windows = [int(end) for end in given.get("windows", "100,1000").split(",")]
    found = {earlier: played(earlier) for earlier in windows}
    for earlier, seconds in found.items():
        print(f"after {earlier:5d} proposals: {seconds:.4f} CPU s a proposal", flush=True)
    print(f"growth: {found[windows[-1]] / found[windows[0]]:.2f}x")
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
