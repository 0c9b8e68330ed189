"""One name, one class: whoever greps for a class finds one."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def classes() -> dict[str, list[str]]:
    """Name -> where a class of that name is defined, at whatever depth; templates belong to tasks."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted([*ROOT.glob("harness/**/*.py"), *ROOT.glob("guards/**/*.py")]):
        if "templates" not in file.parts:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return found


def test_a_name_is_one_class() -> None:
    """No two classes of harness/ and guards/ share a name, private ones included."""
    found = classes()
    assert len(found) > 100
    assert not {name: places for name, places in found.items() if len(places) > 1}
