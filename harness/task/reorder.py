"""The referee draws the order of the training data, anew for each trial: `reorder(train, out, seed)` of prepare.py.

One process of the referee's own stays open for a session's trials: a trial pays for the copy and not for imports.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.errors import InfrastructureError
from harness.task.task import Task

_SERVE = """
import importlib.util, json, os, sys
from pathlib import Path
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what prepare.py prints is no answer
def answer(what):
    try:
        print(json.dumps(what), file=answers, flush=True)
    except BrokenPipeError:
        os._exit(0)  # who asked was killed
spec = importlib.util.spec_from_file_location("prepare", sys.argv[1])
module = sys.modules["prepare"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
answer(hasattr(module, "reorder"))
for line in sys.stdin:
    train, out, seed = json.loads(line)
    try:
        module.reorder(Path(train), Path(out), seed)
        problem = ""
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    answer(problem)
"""
_KEPT = ("PATH", "HOME", "HARNESS_CACHE", "TMPDIR")


class Reorderer:
    """Asks a task's prepare.py for training data in another order."""

    def __init__(self, task: Task) -> None:
        """Nothing is started before the first question."""
        self._task = task
        self._process: subprocess.Popen[str] | None = None
        self.offered: bool | None = None  # whether the task has a `reorder`; None until it was asked

    def reorder(self, train: Path, out: Path, seed: int) -> bool:
        """Write the files of `train` into `out` in the order of `seed`; False if the task has no such function.

        A file that is not written keeps its order. Raises InfrastructureError when the function fails.
        """
        if self.offered is False:
            return False
        if self._process is None:
            self._start()
        if self.offered:
            self._ask(json.dumps([str(train.resolve()), str(out.resolve()), seed]))
        return bool(self.offered)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _SERVE, str(self._task.path.resolve() / "prepare.py")],
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the session alone
        )
        self.offered = json.loads(self._answer())
        if not self.offered:
            self.close()

    def _ask(self, question: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its answer is missing, too
        if problem := json.loads(self._answer()):
            raise InfrastructureError(f"reorder() of task {self._task.name} failed: {problem}")

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        self.close()
        raise InfrastructureError(f"prepare.py of task {self._task.name} ended while it was to reorder data")

    def close(self) -> None:
        """It ends with its input; another question starts it again."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # a question that nobody took lies there still
                process.stdin.close()
            process.stdout.close()
            process.wait()
