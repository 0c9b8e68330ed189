"""How the tree stands, in figures: `python scripts/tree_figures.py [CHECKOUT]`, so that two builds can be compared.

Counts what git tracks in harness/ and guards/, without the files of tasks that are made from templates. Circles are
groups of modules that import each other, also inside functions. Complexity is McCabe's, as ruff counts it: one for a
function and one for each decision in it.
"""

import ast
import json
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_COMPLEXITY = re.compile(r"\((\d+) > ")


def tracked(checkout: Path) -> list[Path]:
    """Modules of ours, as paths inside the checkout."""
    command = ["git", "-C", str(checkout), "ls-files", "harness/*.py", "guards/*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in listed if "templates" not in Path(name).parts]


def function_lines(checkout: Path, files: list[Path]) -> list[int]:
    """Of every function, from its `def` to its last line."""
    nodes = (node for file in files for node in ast.walk(ast.parse((checkout / file).read_text())))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions)


def imports(checkout: Path, files: list[Path]) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports."""
    names = {
        ".".join(part for part in file.with_suffix("").parts if part != "__init__"): file for file in files
    }
    graph: dict[str, set[str]] = {}
    for name, file in names.items():
        package = file.parent.parts
        found = set(_imported(ast.parse((checkout / file).read_text()), package))
        graph[name] = (found & names.keys()) - {name}
    return graph


def _imported(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *(node.module or "").split("."))).strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def circles(graph: dict[str, set[str]]) -> int:
    """Groups of more than one module that reach each other."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {
        frozenset(o for o in reached[name] if name in reached[o]) for name in graph if name in reached[name]
    }
    return len(groups)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += graph[name]
    return found


def complexities(checkout: Path, folder: str) -> list[int]:
    """Of every function below `folder`."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "C901",
        "--output-format",
        "json",
    ]
    command += ["--config", "lint.mccabe.max-complexity=0", folder]
    told = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False).stdout
    return [int(match[1]) for each in json.loads(told) if (match := _COMPLEXITY.search(each["message"]))]


def main(arguments: list[str]) -> None:
    checkout = Path(arguments[0] if arguments else ".")
    files = tracked(checkout)
    folders = Counter(file.parent for file in files if file.name != "__init__.py")
    fullest = ", ".join(f"{folder}/ {count}" for folder, count in folders.most_common(3))
    lines = function_lines(checkout, files)
    print(f"modules at the top of harness/: {folders[Path('harness')]}")
    print(f"fullest of {len(folders)} folders with {len(files)} modules: {fullest}")
    print(f"circles of imports: {circles(imports(checkout, files))}")
    print(
        f"lines a function: median {statistics.median(lines):g}, 95th percentile {lines[len(lines) * 95 // 100]}"
    )
    for folder in ("guards", "harness"):
        found = complexities(checkout, folder)
        mean = f"{statistics.mean(found):.2f}, largest {max(found)}, {len(found)} functions"
        print(f"complexity of a function in {folder}/: mean {mean}")
    version = subprocess.run(
        [sys.executable, "-m", "ruff", "--version"], capture_output=True, text=True, check=True
    )
    print(f"counted by {version.stdout.strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
