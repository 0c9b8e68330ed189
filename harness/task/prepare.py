"""Runs a task's prepare.py once and keeps what it made, in a folder that its content and profile name.

python -m harness.task.prepare TASK_FOLDER PROFILE PUBLIC PRIVATE     (how this module calls itself)
"""

import hashlib
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from harness.errors import UserError
from harness.task.task import Task, TaskData

_TAIL_LINES = 5


def cache_folder() -> Path:
    """Where downloads and prepared data are kept: HARNESS_CACHE, or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness").resolve()


def prepared(task: Task, profile: str) -> TaskData:
    """The task's data, made now if need be. Raises UserError with the last lines of prepare.py if it fails."""
    folder = cache_folder() / "tasks" / f"{task.name}-{profile}-{_key(task, profile)}"
    data = TaskData(folder / "public", folder / "private")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _make(task, profile, folder)
    except OSError as error:
        raise UserError(f"cannot keep the task's data in {cache_folder()}: {error}") from error
    return data


def _key(task: Task, profile: str) -> str:
    """Changes with every file of the task that could bear on its data, and with the profile."""
    digest = hashlib.sha256(profile.encode())
    for name, content in task.fixed_files().items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _make(task: Task, profile: str, folder: Path) -> None:
    """Written beside, then renamed: a folder of that name is always complete."""
    beside = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        for name in ("public", "private"):
            (beside / name).mkdir(mode=0o755 if name == "public" else 0o700)
        command = [sys.executable, "-m", "harness.task.prepare", str(task.path), profile]
        command += [str(beside / "public"), str(beside / "private")]
        print(f"preparing the data of task {task.name}, once ...", file=sys.stderr, flush=True)
        environment = {**os.environ, "HARNESS_CACHE": str(cache_folder()), "PYTHONPATH": _import_path()}
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,  # notices and progress of downloads, for people, as they come
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = " | ".join(line.strip() for line in done.stderr.strip().splitlines()[-_TAIL_LINES:])
            raise UserError(f"prepare.py of task {task.name} failed: {tail}")
        os.chmod(beside, 0o755)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _import_path() -> str:
    return os.pathsep.join(entry for entry in sys.path if entry)


def _main(arguments: list[str]) -> None:
    folder, profile, public, private = arguments
    spec = importlib.util.spec_from_file_location("prepare", os.path.join(folder, "prepare.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module
    spec.loader.exec_module(module)
    takes_profile = len(inspect.signature(module.prepare).parameters) > 2
    module.prepare(Path(public), Path(private), *([profile] if takes_profile else []))


if __name__ == "__main__":
    _main(sys.argv[1:])
