"""`harness guard OLD NEW`: what the static guards say about an edit, before any trial: for people, editors and CI.

OLD and NEW are two files, or two folders; NEW may be a patch on OLD (.patch or .diff, or - for what comes in); a patch
alone is taken on the present folder, and one on a single file changes that file, whatever it calls it. A folder NEW
without a task.yaml, as `harness checkout` writes it, may leave out what an edit may not change.

    --editable a.py,b.py   what a proposal may change; else `editable` of OLD/task.yaml, else every file
    --guards NAME          a choice of conf/guards (default: default)
    --json                 the verdicts as one JSON object, for programs

Exit code 0: accepted, also where something is in doubt (that is said: such an edit needs trials at three seeds before
a keep). 1: rejected. 2: the arguments cannot be used. Duplicates of earlier proposals are a session's to know.

Examples:

    harness guard train.py new/train.py
    harness guard tasks/digits change.patch --json
    git diff | harness guard tasks/digits/train.py -
    harness guard <(git show HEAD:train.py) train.py
"""

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import parser, run
from harness.config.compose import plain_yaml
from harness.config.locations import conf_folder
from harness.config.schema import check_part
from harness.errors import UserError
from harness.ledger.plain import to_json
from harness.protocols import Guard
from harness.records import Evidence, Files, Judgement, Verdict
from harness.session.guard_line import ask

if TYPE_CHECKING:
    from unidiff.patch import PatchedFile

_PATCHES = (".patch", ".diff")
_REFEREE_FILES = {"task.yaml", "prepare.py", "evaluate.py", "program.md", "README.md"}
_MOST_BYTES = 4 << 20
_MOST_FILES = 500


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    evidence = _evidence([Path(path) for path in options.paths], options.editable)
    verdicts = ask(static_guards(options.guards), evidence)
    rejected = any(verdict.judgement is Judgement.REJECT for verdict in verdicts)
    if options.json:
        print(json.dumps(_as_json(verdicts, rejected), indent=1))
    else:
        print("\n".join(lines(verdicts)))
    return 1 if rejected else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    asked = parser("guard", __doc__)
    asked.add_argument("paths", nargs="+", metavar="PATH")
    asked.add_argument("--editable", default="")
    asked.add_argument("--guards", default="default")
    asked.add_argument("--json", action="store_true")
    return asked.parse_args(arguments)


def static_guards(choice: str) -> tuple[Guard, ...]:
    """The guards of a choice of conf/guards that need no trial. Raises UserError for an unknown choice."""
    file = conf_folder() / "guards" / f"{choice}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise UserError(f"--guards {choice}: no such choice; there are {known}")
    nodes = plain_yaml(file)
    parts = {name: node for name, node in nodes.items() if name not in ("defaults", "judge")}
    guards = [check_part(f"guards.{name}", node).build() for name, node in parts.items()]
    return tuple(guard for guard in guards if "static" in guard.stages)


def lines(verdicts: Sequence[Verdict]) -> list[str]:
    """What people read: the rejection, or what is in doubt, or that nothing is objected to."""
    found = []
    for verdict in verdicts:
        if verdict.judgement is Judgement.REJECT:
            return [f"rejected by {verdict.guard}: {verdict.reason}: {verdict.message}"]
        found += [f"in doubt ({verdict.guard}, {verdict.reason}): {doubt}" for doubt in verdict.doubts]
    if not found:
        return ["accepted"]
    return ["accepted, in doubt: needs trials at three seeds before a keep", *found]


def _as_json(verdicts: Sequence[Verdict], rejected: bool) -> dict[str, object]:
    doubtful = any(verdict.doubts for verdict in verdicts)
    judgement = "rejected" if rejected else "doubtful" if doubtful else "accepted"
    return {"judgement": judgement, "verdicts": [to_json(verdict) for verdict in verdicts]}


def _evidence(paths: Sequence[Path], editable: str) -> Evidence:
    if len(paths) == 1 and _is_patch(paths[0]):
        paths = [Path(), paths[0]]
    if len(paths) != 2 or _is_patch(paths[0]):
        raise UserError("guard takes OLD and NEW: two files, two folders, or a file or folder and then a patch")
    old_path, new_path = paths
    old = _read(old_path)
    links: dict[str, str] = {}
    if _is_patch(new_path):
        new, links = _patched(old, new_path, old_path)
    else:
        new = _read(new_path)
        if _is_one(old_path) != _is_one(new_path):
            raise UserError("guard takes two files or two folders, not one of each")
        links = _links(new_path)
        if _is_one(old_path):
            new = {old_path.name: new[new_path.name]}
    names = tuple(filter(None, editable.split(","))) or _editable(old_path, {**old, **new})
    if new_path.is_dir() and "task.yaml" not in new:
        new = {**{name: content for name, content in old.items() if name not in names}, **new}
    if not any(name in old or name in new for name in names):
        raise UserError(f"{old_path}: nothing there that a proposal may change")
    _check_old(old, names)
    return Evidence("static", names, old, new, links)


def _is_one(path: Path) -> bool:
    """A file, or what a shell makes of `<(git show HEAD:train.py)`."""
    return path.is_file() or path.is_fifo()


def _is_patch(path: Path) -> bool:
    return path.suffix in _PATCHES or str(path) == "-"


def _check_old(old: Files, names: tuple[str, ...]) -> None:
    """Raises UserError: what is no program cannot be compared with one."""
    for name in names:
        if name.endswith(".py") and name in old:
            try:
                ast.parse(old[name])
            except (SyntaxError, ValueError, RecursionError) as error:
                where = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
                raise UserError(f"OLD's {name}{where} is not Python: there is nothing to compare with") from error


def _patched(old: Files, patch: Path, place: Path) -> tuple[Files, dict[str, str]]:
    from harness.agents.api.patches import PatchError, apply, read_patch

    try:
        read = read_patch(_bytes(patch))
        if _is_one(place) and len(read.files) == 1:
            _named(read.files[0], f"a/{next(iter(old))}")
    except PatchError as error:
        raise UserError(f"{patch}: {error}") from error
    try:
        edit = apply(read, old)
    except PatchError as error:
        tried = f"{place}" if place != Path() else "the present folder (OLD before the patch names another)"
        raise UserError(f"{patch}: tried on {tried}: {error}") from error
    kept = {name: content for name, content in old.items() if name not in edit.deleted}
    return {**kept, **edit.files}, dict(edit.links)


def _named(change: "PatchedFile", name: str) -> None:
    """The one file that there is, whatever the patch calls it; what it makes or deletes stays what it is."""
    if "/dev/null" not in (change.source_file, change.target_file):
        change.source_file = change.target_file = name


def _read(path: Path) -> Files:
    """A file by its name, or the plain files below a folder by their paths; hidden ones are left out."""
    if _is_one(path):
        return {path.name: _bytes(path)}
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    found: dict[str, bytes] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_symlink() or not file.is_file() or any(part[0] in "._" for part in name.parts):
            continue
        found[name.as_posix()] = _bytes(file)
        if len(found) > _MOST_FILES:
            raise UserError(f"{path}: more than {_MOST_FILES} files; name the files that differ")
    return found


def _links(folder: Path) -> dict[str, str]:
    """Symbolic links below a folder and where they point; they are never followed."""
    found = (path for path in folder.rglob("*") if path.is_symlink()) if folder.is_dir() else ()
    return {path.relative_to(folder).as_posix(): str(path.readlink()) for path in found}


def _bytes(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(_MOST_BYTES)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise UserError(f"{path}: larger than {_MOST_BYTES >> 20} MiB: no source file")
    return content


def _editable(old: Path, files: Files) -> tuple[str, ...]:
    """What the task of a folder says may change; without one, every file."""
    task = old / "task.yaml"
    if not (old.is_dir() and task.is_file()):
        return tuple(files)
    named = plain_yaml(task).get("editable")
    if not isinstance(named, list):
        return tuple(name for name in files if name not in _REFEREE_FILES)
    return tuple(map(str, named))


if __name__ == "__main__":
    sys.exit(run(main, "harness.guard"))
