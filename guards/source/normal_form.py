"""A program without what does not matter: layout, comments, names, order of keywords, prints, annotations.

Two programs with the same form do the same; renaming, reformatting and rewording cannot change it. The converse
does not hold: the same idea written in another way has another form.
"""

import ast
import hashlib
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from guards.source import folding
from guards.source.index import FunctionNode, Index, NameScope, all_arguments, indexed
from guards.source.syntax import Source

_KEPT_ATTRIBUTES = {
    "training", "weight", "bias", "grad", "data", "state", "param_groups", "defaults", "device", "dtype",
}  # fmt: skip
_HARMLESS_CALLS = {
    "len", "sum", "round", "int", "float", "str", "min", "max", "format", "repr", "numel", "item", "asdict",
}  # fmt: skip
_SWAPPED = {ast.Gt: "Lt", ast.GtE: "LtE"}
NUMBER = "#"


@dataclass(frozen=True, slots=True)
class Form:
    """text: the normal form with every number replaced by a mark; numbers: those numbers, in order."""

    text: str
    numbers: tuple[int | float | complex, ...]
    nodes: int

    @property
    def digest(self) -> str:
        """Equal for programs that do the same."""
        spelled = repr([(type(number).__name__, number) for number in self.numbers])
        return hashlib.sha256(f"{self.text}\0{spelled}".encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def masked_digest(self) -> str:
        """Equal for programs that differ in numbers only."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def packed_bytes(self) -> int:
        """Size of the normal form after compression."""
        return len(zlib.compress(f"{self.text}{self.numbers}".encode("utf-8", "surrogatepass"), 6))


@lru_cache(maxsize=256)
def normal_form(source: Source) -> Form:
    """The form of one file. Raises RecursionError for code that is nested too deeply."""
    writer = _Writer(indexed(source))
    writer.block(source.tree.body, writer.index.module)
    return Form(" ".join(writer.parts), tuple(writer.numbers), len(writer.parts))


@dataclass
class _Writer:
    index: Index
    parts: list[str] = field(default_factory=list)
    numbers: list[Any] = field(default_factory=list)
    names: dict[tuple[int, str], str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own_attributes = _own_attributes(self.index)

    def block(self, body: list[ast.stmt], scope: NameScope) -> None:
        self.parts.append("{")
        imports = [one for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
        self.parts += sorted(name for one in imports for name in self._imported(one))
        for statement in body:
            if not isinstance(statement, ast.Import | ast.ImportFrom) and not self._dropped(statement, scope):
                self.write(statement, scope)
        self.parts.append("}")

    def _imported(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """Imports are written as what they bring, and only if it is used."""
        used = []
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            if bound in self.index.loaded or alias.name == "*":
                base = f"{'.' * node.level}{node.module}." if isinstance(node, ast.ImportFrom) else ""
                used.append(f"import:{base}{alias.name}")
        return used

    def _dropped(self, node: ast.stmt, scope: NameScope) -> bool:
        if isinstance(node, ast.Pass):
            return True
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant) or _only_prints(node.value)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and scope.kind != "class":
            targets = [one.id for one in node.targets if isinstance(one, ast.Name)]
            unread = not any(name in self.index.loaded or name.startswith("__") for name in targets)
            return unread and len(targets) == len(node.targets) and not _is_global(targets, scope)
        return False

    def write(self, node: Any, scope: NameScope) -> None:
        kind = type(node)
        if kind is ast.Name:
            self.parts.append(self._name(node.id, scope))
        elif kind is ast.Constant:
            self._constant(node.value)
        elif kind is ast.Attribute:
            self.write(node.value, scope)
            self.parts.append("." + self._attribute(node.attr))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._function(node, scope)
        elif kind is ast.ClassDef:
            self._class(node, scope)
        elif kind is ast.Call:
            self._call(node, scope)
        elif kind is ast.AnnAssign:
            self.parts.append("AnnAssign")
            self.write(node.target, scope)
            if node.value is not None:
                self.write(node.value, scope)
        elif kind in (ast.BinOp, ast.UnaryOp) and (number := _folded(node)) is not None:
            self._constant(number)
        elif kind is ast.Compare and len(node.ops) == 1:
            swapped = _SWAPPED.get(type(node.ops[0]))
            self.parts.append(f"Compare {swapped or type(node.ops[0]).__name__}")
            for side in (node.comparators[0], node.left) if swapped else (node.left, node.comparators[0]):
                self.write(side, scope)
        elif kind in (ast.Global, ast.Nonlocal):
            self.parts.append(kind.__name__)
        else:
            self._other(node, self.index.scopes.get(id(node), scope))

    def _other(self, node: ast.AST, scope: NameScope) -> None:
        self.parts.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    self.block(value, scope)
                else:
                    self.parts.append("[")
                    for item in value:
                        self._field(item, scope)
                    self.parts.append("]")
            elif name not in ("ctx", "type_comment", "kind"):
                self._field(value, scope)

    def _field(self, value: object, scope: NameScope) -> None:
        if isinstance(value, ast.AST):
            self.write(value, scope)
        elif isinstance(value, str):
            self.parts.append(self._name(value, scope))
        elif value is not None:
            self.parts.append(repr(value))

    def _constant(self, value: object) -> None:
        if isinstance(value, int | float | complex) and not isinstance(value, bool):
            self.numbers.append(value)
            self.parts.append(NUMBER)
        else:
            self.parts.append(repr(value))

    def _function(self, node: FunctionNode, scope: NameScope) -> None:
        inner = self.index.scopes[id(node)]
        self.parts.append("Function" if isinstance(node, ast.FunctionDef) else type(node).__name__)
        if not isinstance(node, ast.Lambda):
            self.parts.append(self._method(node.name, scope))
            for decorator in node.decorator_list:
                self.write(decorator, scope)
        arguments = node.args
        kinds = (
            arguments.posonlyargs,
            arguments.args,
            [arguments.vararg],
            arguments.kwonlyargs,
            [arguments.kwarg],
        )
        self.parts.append(",".join(str(len([one for one in some if one is not None])) for some in kinds))
        for argument in all_arguments(arguments):
            self._name(argument.arg, inner)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            self._field(default, scope)
        if isinstance(node, ast.Lambda):
            self.write(node.body, inner)
        else:
            self.block(node.body, inner)

    def _class(self, node: ast.ClassDef, scope: NameScope) -> None:
        self.parts += ["Class", self._name(node.name, scope)]
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            self.write(part, scope)
        self.block(node.body, self.index.scopes[id(node)])

    def _call(self, node: ast.Call, scope: NameScope) -> None:
        self.parts.append("Call")
        self.write(node.func, scope)
        for argument in node.args:
            self.write(argument, scope)
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        for keyword in sorted(node.keywords, key=lambda one: one.arg or ""):
            self.parts.append(f"{self._keyword(str(keyword.arg), called)}=")
            self.write(keyword.value, scope)
        self.parts.append(")")

    # names

    def _keyword(self, name: str, called: str) -> str:
        """A keyword of the program's own function is named by its place."""
        functions = self.index.functions.get(called, ())
        for scope in self.index.classes.get(called, ()):
            functions = [*functions, *(one.scope for one in scope.bindings.get("__init__", ()))]
        for function in functions:
            if isinstance(function.node, FunctionNode):
                names = [argument.arg for argument in all_arguments(function.node.args)]
                if name in names:
                    return f"parameter{names.index(name)}"
        return name

    def _method(self, name: str, scope: NameScope) -> str:
        return self._attribute(name) if scope.kind == "class" else self._name(name, scope)

    def _attribute(self, name: str) -> str:
        if name not in self.own_attributes:
            return name
        return self.attributes.setdefault(name, f"own{len(self.attributes)}")

    def _name(self, name: str, scope: NameScope) -> str:
        home = scope.find(name)
        if home is None:
            return name
        if all(one.how == "import" for one in home.bindings[name]):
            return ":".join(str(one.detail) for one in home.bindings[name])
        key = (id(home), name)
        if key not in self.names:
            number = self.counts[id(home)] = self.counts.get(id(home), -1) + 1
            self.names[key] = f"{home.kind}{number}"
        return self.names[key]


def _own_attributes(index: Index) -> set[str]:
    """Attributes that the program's classes give to themselves and that no library looks for."""
    found = {
        node.attr
        for store in index.stores
        if isinstance(node := store.node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and store.scope.parent is not None
        and store.scope.parent.kind == "class"
    }
    return {name for name in found if not name.startswith("__")} - _KEPT_ATTRIBUTES


def _is_global(names: list[str], scope: NameScope) -> bool:
    return scope.kind == "module" and any(name.isupper() for name in names)


def _only_prints(node: ast.expr) -> bool:
    """A print whose arguments do nothing else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"):
        return False
    return all(_is_simple(part) for part in node.args) and all(
        isinstance(keyword.value, ast.Constant) for keyword in node.keywords
    )


def _is_simple(node: ast.expr) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            name = getattr(part.func, "id", getattr(part.func, "attr", ""))
            if name not in _HARMLESS_CALLS:
                return False
        elif isinstance(part, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
            return False
    return True


def _folded(node: ast.expr) -> int | float | complex | None:
    """A number that is spelled as a sum, a product, a power or with a sign."""
    try:
        value = _number(node)
    except folding.Unfoldable:
        return None
    return value if isinstance(value, int | float | complex) and not isinstance(value, bool) else None


def _number(node: ast.expr) -> object:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, complex):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return folding.unary(type(node.op).__name__, _number(node.operand))
    if isinstance(node, ast.BinOp):
        return folding.binary(type(node.op).__name__, _number(node.left), _number(node.right))
    raise folding.Unfoldable
