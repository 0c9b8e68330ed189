"""Writes proposals that change nothing: comments, renamed variables, constants spelt otherwise.

    python scripts/null_proposals.py tasks/digits/train.py FOLDER [--count 20]
    python -m harness task=digits agent=replay agent.folder=FOLDER guards=minimal

A session on them is a real A/A night: whatever it keeps it keeps by mistake, and its certificate should fail.
(The default guards would discard most of them unrun, as changes of nothing.)
"""

import argparse
import ast
import difflib
import itertools
from collections.abc import Iterator
from pathlib import Path

Edit = tuple[str, str]  # what was done, the file after it


def comments(source: str) -> Iterator[Edit]:
    """A comment before a definition or an assignment at the top level."""
    lines = source.splitlines(keepends=True)
    places = [
        node
        for node in ast.parse(source).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign))
    ]
    for node in places:
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
        name = (
            node.targets[0].id
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            else ""
        )
        what = name or getattr(node, "name", "this")
        yield f"comment on {what}", "".join([*lines[: first - 1], f"# About {what}.\n", *lines[first - 1 :]])


def constants(source: str) -> Iterator[Edit]:
    """An even whole number at the top level, as a product: `32` becomes `2 * 16`."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        value = node.value.value
        if type(value) is int and value > 2 and value % 2 == 0 and node.value.lineno == node.value.end_lineno:
            at, end = node.value.col_offset, node.value.end_col_offset
            line = lines[node.lineno - 1].encode()
            changed = (line[:at] + f"2 * {value // 2}".encode() + line[end:]).decode()
            yield (
                f"{value} as a product",
                "".join([*lines[: node.lineno - 1], changed, *lines[node.lineno :]]),
            )


def renames(source: str) -> Iterator[Edit]:
    """A variable of one function gets another name, wherever that function uses it."""
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef) or _is_entangled(function):
            continue
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        taken = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)} - taken
        for name in sorted(own):
            places = [node for node in names if node.id == name]
            yield f"{name} renamed in {function.name}", _renamed(source, places, f"{name}_here")


def _is_entangled(function: ast.FunctionDef) -> bool:
    """Whether names in it may belong to somebody else, or have no place of their own in the text."""
    inner = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.Global, ast.Nonlocal, ast.JoinedStr)
    return any(isinstance(node, inner) for node in ast.walk(function) if node is not function)


def _renamed(source: str, places: list[ast.Name], name: str) -> str:
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for node in sorted(places, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + name.encode() + line[node.end_col_offset :]
    return b"".join(lines).decode()


def patch(source: str, changed: str, what: str, name: str) -> str:
    """In the format of agent=replay: rationale, `---`, unified diff."""
    diff = difflib.unified_diff(
        source.splitlines(keepends=True), changed.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1
    )
    return f"No effect: {what}.\n---\ndiff --git a/{name} b/{name}\n" + "".join(diff)


def proposals(source: str) -> list[Edit]:
    """All that can be made, the kinds by turns."""
    kinds = (list(comments(source)), list(renames(source)), list(constants(source)))
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
    found = [edit for edit in turns if edit is not None]
    for _, changed in found:
        compile(changed, "train.py", "exec")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Proposals without any effect")
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20)
    chosen = parser.parse_args()
    source = chosen.source.read_text()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    found = proposals(source)[: chosen.count]
    for number, (what, changed) in enumerate(found, start=1):
        file = chosen.folder / f"{number:04d}-null.patch"
        file.write_text(patch(source, changed, what, chosen.source.name))
    print(f"{len(found)} proposals in {chosen.folder}")


if __name__ == "__main__":
    main()
