"""Which files of a checkout matter, and what they import from one another. Read as text; nothing is run."""

import ast
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError

_MOST_FILES = 2000  # looked at below a checkout for a training script that stands elsewhere


def check_layout(folder: Path, script: str) -> None:
    """Raises UserError that says what is missing, and which scripts could be meant."""
    if Path(script).name != script or not script.endswith(".py"):
        raise UserError(f"script={script}: name a file at the top of {folder}, such as train.py")
    if not (folder / "prepare.py").is_file():
        raise UserError(
            f"{folder} has no prepare.py: what must not be edited (data, evaluation) has to stand apart from what may;"
            " for a repository of another shape write a task: harness new-task NAME, docs/tasks.md"
        )
    if not (folder / script).is_file():
        raise UserError(no_script(folder, f"{folder} has no {script}"))


def no_script(folder: Path, what: str) -> str:
    """The line with the scripts of the folder that import prepare and train."""
    able = [file.name for file in sorted(folder.glob("*.py")) if file.name != "prepare.py" and _trains(file)]
    deeper = [
        str(file.relative_to(folder))
        for file in sorted(folder.glob("*/**/*.py"))[:_MOST_FILES]
        if _trains(file)
    ]
    if able:
        return f"{what}; the training script may be another: script={' or script='.join(able[:3])}"
    if deeper:
        return (
            f"{what}; {', '.join(deeper[:3])} does: the training script has to stand beside prepare.py, so copy one"
            f" there and say script={Path(deeper[0]).name}"
        )
    return f"{what}, and no other script here does: this is no autoresearch checkout"


def _trains(file: Path) -> bool:
    """Whether a file imports an evaluation from prepare."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return False
    return any(name.startswith("eval") for name in imported_names({file.name: tree}))


def parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file.parent} is no autoresearch checkout: {file.name}: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{file} is not Python that can be read: {error}") from None


def program_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return "Improve the metric by editing the training script.\n"


def editable_files(folder: Path, script: str, train: ast.Module) -> tuple[str, ...]:
    """The script and the modules and packages of the folder that it imports, directly or not; never prepare.py."""
    found, queue = [script], [(script, train)]
    while queue:
        for file in _own_files(folder, *queue.pop()):
            if file != "prepare.py" and file not in found:
                found.append(file)
                queue.append((file, parsed(folder / file)))
    return tuple(found)


def _own_files(folder: Path, file: str, tree: ast.Module) -> list[str]:
    """Files of the folder that a file of it imports, with the `__init__.py` of packages on the way."""
    package = list(Path(file).parent.parts)
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            stem = (*start, *(node.module.split(".") if node.module else ()))
            names |= {stem, *((*stem, alias.name) for alias in node.names)}
    wanted = {name[:length] for name in names for length in range(1, len(name) + 1)}
    places = (
        place
        for name in sorted(wanted)
        for place in (Path(*name, "__init__.py"), Path(*name).with_suffix(".py"))
    )
    return [str(place) for place in places if (folder / place).is_file()]


def modules(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def imported_names(trees: Mapping[str, ast.Module]) -> dict[str, int]:
    """Name imported from prepare -> line."""
    found: dict[str, int] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "prepare":
                found.update({alias.name: node.lineno for alias in node.names})
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "prepare"
            ):
                found.setdefault(node.attr, node.lineno)
    return found
