"""`harness new-task NAME [FOLDER]`: writes a task that runs as it is, to be changed into your own.

FOLDER holds task folders; it is `tasks` in the current folder unless given. docs/tasks.md goes on from there.

Examples:

    harness new-task my_task
    harness new-task my_task ~/my-tasks
"""

import re
import sys
from pathlib import Path

from harness.commands import run
from harness.config.locations import PACKAGE, task_folders, tasks_folders
from harness.errors import UserError

USAGE = "harness new-task NAME [FOLDER]"
_TEMPLATES = PACKAGE / "templates" / "task"
_SUFFIX = ".template"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def main(arguments: list[str]) -> int:
    """Raises UserError, and then nothing is left behind."""
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):
        raise UserError(f"usage: {USAGE}")
    name, tasks = arguments[0], Path(arguments[1] if len(arguments) > 1 else "tasks")
    folder = tasks / name
    check(name, folder)
    written = write(name, folder)
    print(f"made {folder}: {', '.join(written)}")
    for line in next_steps(name, tasks):
        print(line)
    return 0


def check(name: str, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a task: small letters, digits and _, a letter first, at most 40"
        )
    if folder.exists():
        raise UserError(f"{folder} is there already; choose another name or remove it")
    known = task_folders().get(name)
    if known is not None:
        raise UserError(f"there is a task {name} already, in {known}; choose another name")


def write(name: str, folder: Path) -> list[str]:
    """The template with the task's name in it; paths of the files, relative to the folder."""
    written = []
    try:
        for template in sorted(_TEMPLATES.glob(f"*{_SUFFIX}")):
            path = template.name.removesuffix(_SUFFIX)
            path = f"replay/{path}" if path.endswith(".patch") else path
            text = template.read_text(encoding="utf-8")
            text = text.replace("{name}", name) if path.endswith(".md") else text
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return written


def next_steps(name: str, tasks: Path) -> list[str]:
    seen = tasks.resolve() in tasks_folders()
    prefix = "" if seen else f"HARNESS_TASKS={tasks.resolve()} "
    return [
        f"  {prefix}harness check-task {name}              does it keep the contract?",
        f"  {prefix}harness task={name} budget.certificate=2    its one recorded proposal",
    ]


if __name__ == "__main__":
    sys.exit(run(main, "harness.new_task", about=__doc__))
