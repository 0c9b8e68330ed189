"""Runs a task's prepare.py once and keeps what it made, in a folder that its content and profile name.

`prepare(public, private)` may ask by name for `profile`, and for `secret`: bytes of the referee's to draw held-out data
with, so that nobody who knows the program can make them again. They reach it over a pipe and stand nowhere else but
in the cache's private/held_out_secret. One cache, one draw: its folders' names hold a hash of the secret.
`prepare(public, private, *, shards=10)`: what stands behind the star the user may choose: data.shards=4.

python -m harness.task.prepare TASK_FOLDER PROFILE PUBLIC PRIVATE < SECRET     (how this module calls itself)
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock

from harness.errors import UserError
from harness.task.secret import derived_secret, kept_secret
from harness.task.task import Task, TaskData
from harness.task.waiting import told

_TAIL_LINES = 5
_CHOICES = "HARNESS_DATA"  # environment variable by which the user's choices reach prepare.py
_NO_CHOICES: Mapping[str, object] = MappingProxyType({})


def cache_folder() -> Path:
    """Where downloads and prepared data are kept: HARNESS_CACHE, or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness").resolve()


def prepared(
    task: Task, profile: str, secret: bytes | None = None, *, choices: Mapping[str, object] = _NO_CHOICES
) -> TaskData:
    """The task's data, made now if need be. Raises UserError with the last lines of prepare.py if it fails.

    secret: to draw what is held out with; None: the cache's own, which is what trials are scored on. choices: the
    user's, see data_choices; one that the task does not offer is a UserError.
    """
    _refuse_installed(task)
    offered = data_choices(task)
    for name in choices:
        if name not in offered:
            raise UserError(f"data.{name}: task {task.name} offers {', '.join(offered) or 'no such choices'}")
    try:
        if secret is None:
            secret = held_out_secret(task, profile)
        folder = cache_folder() / "tasks" / f"{task.name}-{profile}-{_key(task, profile, secret, choices)}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _make(task, profile, folder, secret, choices)
    except OSError as error:
        raise UserError(f"cannot keep the task's data in {cache_folder()}: {error}") from error
    return TaskData(folder / "public", folder / "private")


def _refuse_installed(task: Task) -> None:
    """A trial reads all that is installed: no secret hides which part of a package's own data is held out."""
    if found := [name for name in task.data_packages if _is_installed(name)]:
        raise UserError(
            f"task {task.name}: the package {found[0]} is installed and holds this task's data, where every trial can "
            f"read them, held-out ones too: uninstall it (the harness keeps a download of its own)"
        )


def _is_installed(distribution: str) -> bool:
    try:
        return bool(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return False


def held_out_secret(task: Task, profile: str) -> bytes:
    """What the held-out data of trials are drawn with. Raises UserError where the cache's secret is damaged."""
    folder = cache_folder() / "private"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return derived_secret(kept_secret(folder / "held_out_secret"), f"{task.name} {profile}")


def takes_secret(task: Task) -> bool:
    """Whether the task's `prepare` asks for the referee's secret. It is read, not run."""
    tree = ast.parse((task.path / "prepare.py").read_bytes())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "prepare"]
    return any(
        argument.arg == "secret"
        for node in functions
        for argument in (*node.args.args, *node.args.kwonlyargs)
    )


def data_choices(task: Task) -> list[str]:
    """Names of the keyword-only arguments of the task's `prepare`. It is read, not run."""
    tree = ast.parse((task.path / "prepare.py").read_bytes())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "prepare"]
    names = [argument.arg for node in found for argument in node.args.kwonlyargs]
    return [name for name in names if name not in ("secret", "profile")]


def _key(task: Task, profile: str, secret: bytes, choices: Mapping[str, object]) -> str:
    """Changes with secret, profile, choices and every file, the task's or a choice's, that could bear on its data:
    all fixed ones but `apart_from_data`.
    """
    chosen = json.dumps([[name, value, _seen(value)] for name, value in choices.items()]) if choices else ""
    digest = hashlib.sha256((profile + chosen).encode() + b"\0" + hashlib.sha256(secret).digest())
    for name, content in task.fixed_files().items():
        if name in task.apart_from_data:
            continue
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _seen(value: object) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files in the folder that a choice names."""
    folder = Path(value).expanduser() if isinstance(value, str) and value else None
    if folder is None or not folder.is_dir():
        return []
    found = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(str(path.relative_to(folder)), about.st_size, about.st_mtime_ns) for path, about in found]


def _make(task: Task, profile: str, folder: Path, secret: bytes, choices: Mapping[str, object]) -> None:
    """Written beside, then renamed: a folder of that name is always complete."""
    beside = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        with told(f"preparing the data of task {task.name}, once"):
            make_data(task.path, profile, beside, secret, choices)
        os.chmod(beside, 0o755)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_data(
    task_folder: Path,
    profile: str,
    folder: Path,
    secret: bytes,
    choices: Mapping[str, object] = _NO_CHOICES,
) -> None:
    """Run the folder's prepare.py in a process of its own, into `folder`/public and private. Raises UserError."""
    for name in ("public", "private"):
        (folder / name).mkdir(mode=0o755 if name == "public" else 0o700)
    command = [sys.executable, "-m", "harness.task.prepare", str(task_folder), profile]
    done = subprocess.run(
        [*command, str(folder / "public"), str(folder / "private")],
        env={
            **os.environ,
            "HARNESS_CACHE": str(cache_folder()),
            "PYTHONPATH": _import_path(),
            _CHOICES: json.dumps(dict(choices)),
        },
        input=secret,
        stdout=2,  # notices and progress of downloads, for people, as they come
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        tail = " | ".join(line.strip() for line in lines[-_TAIL_LINES:])
        raise UserError(f"prepare.py of task {task_folder.name} failed: {tail}")


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
    wanted = [*inspect.signature(module.prepare).parameters.values()][2:]
    secret = sys.stdin.buffer.read()
    options = {
        parameter.name: secret if parameter.name == "secret" else profile
        for parameter in wanted
        if parameter.name in ("secret", "profile") or parameter.default is parameter.empty
    }
    if "secret" in options and not secret:
        raise ValueError("prepare() asks for a secret: give it on standard input")
    choices = json.loads(os.environ.get(_CHOICES) or "{}")
    module.prepare(Path(public), Path(private), **options, **choices)


if __name__ == "__main__":
    _main(sys.argv[1:])
