"""A page of violations for a session of protocol_hardening: shrunk traces, what they break and why, what was not found.

    python scripts/violations.py SESSION_FOLDER [--split test] [--out page.md]

Runs one fresh trial of the session's head, and its attack in the sandbox, as scoring does. The page names hidden
defects: show it to people, not to an agent.
"""

import argparse
import dataclasses
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.records import Outcome, Role, Split, TrialSpec
from harness.scoring.evaluator import SandboxEvaluator
from harness.session.reopen import reopened
from harness.task.task import TaskData
from harness.trial.seeds import new_secret, trial_seed

WITH_PAGE = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent))
from metrics_only import campaigns_of, metrics
from violations import page

def evaluate(subject, private, split):
    campaigns = campaigns_of(subject, private, split)
    (private / "page.md").write_text(page(campaigns, split))
    return metrics(campaigns)
"""


def written(session: Path, split: Split) -> str:
    """The page. Raises HarnessError."""
    with reopened(session) as (setup, bench), tempfile.TemporaryDirectory() as place:
        task, runner = setup.task, bench.trial_runner
        if not (task.path / "violations.py").is_file():
            raise UserError(
                f"task {task.name} has no violations.py: this is for protocol_hardening and its like"
            )
        copy, private = Path(place, task.name), Path(place, "private")
        shutil.copytree(task.path, copy)
        (copy / "evaluate.py").rename(copy / "metrics_only.py")
        (copy / "evaluate.py").write_text(WITH_PAGE)
        shutil.copytree(runner.data.private, private)
        files = bench.workspace.files(bench.workspace.head())
        seed = trial_seed(new_secret(), "violations")
        clock, limits = bench.profile.trial_clock(), bench.profile.limits()
        result = runner.executor.run(TrialSpec("violations", "", Role.NOISE, seed, clock, limits), files)
        if result.outcome is not Outcome.COMPLETED:
            raise UserError(f"the trial ended as {result.outcome}, {result.reason}: {result.log[-300:]}")
        data = TaskData(runner.data.public, private)
        own = dataclasses.replace(task, folder=str(copy))
        evaluator = SandboxEvaluator(bench.sandbox, own, data, bench.profile, bench.folder, setup.scoring)
        with closing(evaluator):
            score = evaluator.score(result, files, split)
        (bench.folder / result.artefact).unlink()
        if score.value is None:
            raise UserError(f"the attack has no score: {score.reason}: {score.detail[-300:]}")
        return (private / "page.md").read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session", type=Path)
    parser.add_argument("--split", choices=[split.value for split in Split], default=Split.VAL.value)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    text = written(options.session, Split(options.split))
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "scripts/violations.py", about=__doc__))
