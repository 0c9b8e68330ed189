"""A program without what does nothing: constant conditions, products with one, double negation, dead code.

Only for comparing: two programs that are equal after it very probably do the same, and a trial can show it.
"""

import ast
from collections.abc import Iterable, Sequence
from functools import lru_cache

from guards.source.syntax import Source

_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMMUTATIVE = (ast.Add, ast.Mult, ast.BitXor, ast.BitAnd, ast.BitOr)
_NEUTRAL_RIGHT: dict[type[ast.operator], tuple[object, ...]] = {
    ast.Mult: (1,), ast.Div: (1,), ast.FloorDiv: (1,), ast.Pow: (1,), ast.Add: (0,), ast.Sub: (0,), ast.BitOr: (0,),
    ast.BitXor: (0,), ast.LShift: (0,), ast.RShift: (0,),
}  # fmt: skip


@lru_cache(maxsize=64)
def simplified(source: Source, kept: frozenset[str]) -> Source:
    """The file without what does nothing; for `normal_form` only, its nodes are not filed by class.

    kept: functions and classes that stay although nobody in the file names them.
    """
    tree = _Simplifier().visit(ast.parse(source.text))  # a copy would take longer than parsing again
    assert isinstance(tree, ast.Module)
    while True:
        used = _names(tree)
        remaining = [one for one in tree.body if not _is_dead(one, used | kept)]
        if len(remaining) == len(tree.body):
            break
        tree.body = remaining
    return Source(source.path, source.text, tree, {})


def defined(sources: Iterable[Source]) -> frozenset[str]:
    """Names of all functions and classes at the top level of files."""
    return frozenset(
        one.name for source in sources for one in source.tree.body if isinstance(one, _DEFINITIONS)
    )


def _names(tree: ast.Module) -> frozenset[str]:
    """Every name that is read, as a name, an attribute or a text."""
    found = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                found.add(name)
    return frozenset(found)


def _is_dead(node: ast.stmt, used: frozenset[str]) -> bool:
    if isinstance(node, _DEFINITIONS):
        return node.name not in used and not node.decorator_list
    if isinstance(node, ast.Assign) and _is_pure(node.value):
        names = [one.id for one in node.targets if isinstance(one, ast.Name)]
        return len(names) == len(node.targets) and not used.intersection(names) and not _is_dunder(names)
    return False


def _is_dunder(names: Sequence[str]) -> bool:
    return any(name.startswith("__") for name in names)


def _is_pure(node: ast.expr) -> bool:
    return not any(
        isinstance(one, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)
        for one in ast.walk(node)
    )


def _truth(node: ast.expr) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None


class _Simplifier(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        node = super().visit(node)
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                setattr(node, name, self._block(block, node, name))
        return node

    def _block(self, body: list[ast.stmt], holder: ast.AST, name: str) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in body:
            found += self._statement(statement)
            if isinstance(statement, _ENDS):
                break
        if isinstance(holder, ast.FunctionDef):
            found = _without_dead_names(found, holder)
        return found or ([ast.Pass()] if name == "body" and not isinstance(holder, ast.Module) else [])

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.If() if (truth := _truth(node.test)) is not None:
                return node.body if truth else node.orelse
            case ast.While(test=ast.Constant(value=value)) if not value:
                return node.orelse
            case ast.Expr(value=value) if _is_pure(value):
                return []
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if name == same:
                return []
            case ast.Assert(test=ast.Constant(value=value)) if value:
                return []
        return [node]

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        truth = _truth(node.test)
        return node if truth is None else node.body if truth else node.orelse

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        neutral = isinstance(node.op, ast.And)
        node.values = [one for one in node.values if _truth(one) is not neutral] or node.values[:1]
        return node.values[0] if len(node.values) == 1 else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.UAdd):
            return inner
        if isinstance(inner, ast.UnaryOp) and type(inner.op) is type(node.op):
            return inner.operand
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        neutral = _NEUTRAL_RIGHT.get(type(node.op), ())
        if isinstance(node.right, ast.Constant) and _is_number(node.right.value, neutral):
            return node.left
        if isinstance(node.op, _COMMUTATIVE):
            if isinstance(node.left, ast.Constant) and _is_number(node.left.value, neutral):
                return node.right
            if ast.dump(node.left) > ast.dump(node.right):
                node.left, node.right = node.right, node.left
        return node


def _is_number(value: object, wanted: tuple[object, ...]) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in wanted


def _without_dead_names(body: list[ast.stmt], holder: ast.FunctionDef) -> list[ast.stmt]:
    """Without assignments, at the top of a function, of pure values to names that it never reads."""
    read = {one.id for one in ast.walk(holder) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    outer = {
        name for one in ast.walk(holder) if isinstance(one, ast.Global | ast.Nonlocal) for name in one.names
    }
    return [
        one for one in body if not _is_dead(one, frozenset(read | outer)) or isinstance(one, _DEFINITIONS)
    ]
