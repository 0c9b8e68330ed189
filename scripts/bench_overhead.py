"""What the harness adds to a trial: the same program plain, and as a trial, side by side in one call.

    python scripts/bench_overhead.py [task=digits] [trials=5] [any other setting of harness]

Overhead is everything but training and scoring: wall-clock time of a whole measurement (rows, sandbox, gate,
clock, artefact, evaluator's process) minus the time that the program itself took and minus its scoring.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from harness.config.setup import load
from harness.records import Role
from harness.session.folder import open_session
from harness.task.prepare import prepared


def plain_seconds(folder: Path, public: Path, seconds: float) -> float:
    """Wall-clock seconds of `python train.py` with the same arguments, outside the harness."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(folder / "train.py"), "--data", str(public), "--out", out]
        begin = time.perf_counter()
        subprocess.run(
            [*command, "--seed", "1", "--seconds", f"{seconds:g}"], check=True, capture_output=True
        )
        return time.perf_counter() - begin


def main(arguments: list[str]) -> None:
    trials = int(next((a.partition("=")[2] for a in arguments if a.startswith("trials=")), "5"))
    setup = load([a for a in arguments if not a.startswith("trials=")] or ["task=digits", "budget=smoke"])
    plain, whole, inside = [], [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = stack.enter_context(open_session(setup, folder, ()))
        trial_runner, baseline = bench.trial_runner, bench.trial_runner.state.baseline
        source = bench.workspace.files(baseline)
        public = prepared(setup.task, setup.budget.profile, choices=setup.data).public
        for number in range(trials):
            plain.append(plain_seconds(setup.task.path, public, bench.profile.seconds))
            begin = time.perf_counter()
            trial_runner.measure(source, baseline, Role.NOISE, f"bench-{number}")
            whole.append(time.perf_counter() - begin)
            trial = trial_runner.state.trials[-1]
            inside.append(trial.measured.wall_seconds + (trial.scored.seconds if trial.scored else 0.0))
    added = [total - own for total, own in zip(whole, inside, strict=True)]
    print(f"task {setup.task.name}, isolation L{int(bench.sandbox.level)}, {trials} trials each, medians:")
    print(f"  plain python train.py      {statistics.median(plain):8.3f} s")
    print(f"  trial with scoring         {statistics.median(whole):8.3f} s")
    print(f"    of it program + scoring  {statistics.median(inside):8.3f} s")
    print(f"  overhead of the harness    {statistics.median(added):8.3f} s (largest {max(added):.3f} s)")
    print(f"  trial : plain              {statistics.median(whole) / statistics.median(plain):8.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
