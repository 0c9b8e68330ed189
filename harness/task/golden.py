"""Golden artefacts: a stored artefact must reproduce its stored score, or scoring has changed.

tasks/<name>/golden/ holds score.json and what it names:
    {"profile": "cpu", "split": "val", "artefact": "model.safetensors", "value": 1.2345, "tolerance": 1e-6}
The data that it is scored on are drawn with a secret that everybody knows, so that they are the same on every machine:
`golden_data`. No trial is ever scored on them.
Files beside it with the name of a file of the task's source (e.g. train.py) replace that file: an artefact goes with
the code that made it, whatever the task's own program becomes later.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.protocols import Evaluator
from harness.records import Files, Outcome, Score, Split, TrialResult
from harness.task.prepare import prepared
from harness.task.task import Task, TaskData

GOLDEN_SECRET = b"golden: no secret, and never drawn with for a trial"
_TOLERANCE = 1e-6


def golden_data(task: Task, profile: str) -> TaskData:
    """The same on every machine. Raises UserError as `prepared` does."""
    return prepared(task, profile, GOLDEN_SECRET)


def golden_folder(task: Task) -> Path:
    return task.path / "golden"


def check(task: Task, open_evaluator: Callable[[str, Path], Evaluator]) -> list[str]:
    """One line for every golden score that is not reproduced; empty if all are, or the task has none.

    open_evaluator(profile, session folder) gives an evaluator for one of the task's profiles, on its `golden_data`.
    Raises UserError for a damaged golden folder.
    """
    problems = []
    for file in sorted(golden_folder(task).glob("*.json")):
        about = _read(file)
        if about is None:
            continue
        score = measure(task, about, open_evaluator)
        if score.value is None:
            problems.append(f"{file.name}: {score.status}, {score.reason}: {score.detail}")
        elif abs(score.value - about["value"]) > about.get("tolerance", _TOLERANCE):
            problems.append(f"{file.name}: stored {about['value']!r}, now {score.value!r}")
    return problems


def _read(file: Path) -> dict[str, Any] | None:
    """None for a JSON file that is itself an artefact."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(about, dict) or "artefact" not in about:
            return None
        float(about["value"])
        Split(about["split"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: not a golden score: {error}") from error
    return about


def measure(task: Task, about: dict[str, Any], open_evaluator: Callable[[str, Path], Evaluator]) -> Score:
    """Score the golden artefact now: `about` as in the module's docstring; its "value" is not looked at."""
    artefact = golden_folder(task) / about["artefact"]
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        (Path(folder) / "artefacts").mkdir()
        copy = Path(folder) / "artefacts" / f"golden{Path(task.artefact).suffix}"
        try:
            shutil.copyfile(artefact, copy)
        except OSError as error:
            raise UserError(f"{artefact}: {error.strerror}") from error
        result = TrialResult("golden", Outcome.COMPLETED, "", artefact=f"artefacts/{copy.name}")
        profile = about.get("profile", "cpu")
        evaluator = open_evaluator(profile, Path(folder))
        try:
            return evaluator.score(result, golden_source(task.for_profile(profile)), Split(about["split"]))
        finally:
            if hasattr(evaluator, "close"):
                evaluator.close()


def golden_source(task: Task) -> Files:
    """The task's source with the golden folder's files in place of the editable ones."""
    source = dict(task.source())
    for name in task.editable:
        if (stored := golden_folder(task) / name).is_file():
            source[name] = stored.read_bytes()
    return source
