"""Who binds which name to what, and where each call stands: one pass over a file, nothing evaluated."""

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from guards.source.syntax import Source

_SIGNS = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
_LARGE_NUMBER = 1 << 13
_NO_TEXT = (ast.Constant, ast.Slice, ast.Tuple, ast.Compare, ast.UnaryOp)
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_INNER = (ast.expr, ast.keyword, ast.slice)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_LOCAL_NAME = re.compile(r"\b(id|arg|name)='[^']*'")
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(eq=False, slots=True, repr=False)
class NameScope:
    """A module, class, function or comprehension. bindings: name -> every way in which it gets a value."""

    node: ast.AST
    kind: str
    parent: "NameScope | None"
    place: "Place"
    bindings: dict[str, list["Binding"]] = field(default_factory=lambda: defaultdict(list))
    returns: list[ast.expr] = field(default_factory=list)
    digest: str = ""

    def find(self, name: str) -> "NameScope | None":
        """The scope in which a name that is read here is bound; classes are not seen from inside functions."""
        scope: NameScope | None = self
        while scope is not None:
            if name in scope.bindings and (scope is self or scope.kind != "class"):
                return scope
            scope = scope.parent
        return None

    def __repr__(self) -> str:
        """The same for the same code, whatever its names are: values are compared across programs by it."""
        if not self.digest:
            text = _LOCAL_NAME.sub(r"\1=''", ast.dump(self.node))
            self.digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        return f"{self.kind}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Binding:
    """how: expression | each (element of) | item (index of) | augmented | import | function | class |
    parameter | opaque."""

    how: str
    scope: NameScope
    node: ast.AST | None = None
    detail: str | int = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of code stands within its function."""

    looped: bool = False
    conditional: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A node with its scope and place. parent: the node that holds it."""

    node: ast.AST
    scope: NameScope
    place: Place
    parent: ast.AST


@dataclass(slots=True)
class Index:
    """All that one pass finds. fields: attribute or string key -> expressions stored under it anywhere."""

    module: NameScope
    scopes: dict[int, NameScope] = field(default_factory=dict)  # by id of the function or class node
    calls: list[Seen] = field(default_factory=list)
    leaves: list[Seen] = field(default_factory=list)  # names and attributes that are read
    stores: list[Seen] = field(default_factory=list)  # attributes and subscripts that are written
    strings: list[Seen] = field(default_factory=list)
    discards: list[Seen] = field(default_factory=list)  # expressions whose value nobody takes
    fields: dict[str, list[tuple[ast.expr, NameScope]]] = field(default_factory=lambda: defaultdict(list))
    spelled: list[tuple[ast.expr, ast.expr, NameScope]] = field(default_factory=list)  # keys that are no literal
    functions: dict[str, list[NameScope]] = field(default_factory=lambda: defaultdict(list))
    classes: dict[str, list[NameScope]] = field(default_factory=lambda: defaultdict(list))
    loaded: set[str] = field(default_factory=set)
    parents: dict[int, ast.AST] = field(default_factory=dict)  # id of an expression -> the node that holds it
    assigned: list[Seen] = field(default_factory=list)  # plain assignments
    augmented: list[Seen] = field(default_factory=list)  # assignments like `+=`
    products: list[Seen] = field(default_factory=list)  # products with a call on one side
    numbers: list[Seen] = field(default_factory=list)  # large whole numbers
    found: list[tuple[ast.AST, NameScope]] = field(default_factory=list)  # see nodes

    def nodes(self) -> Sequence[tuple[ast.AST, NameScope]]:
        """Every node of the module below its root but operators and contexts, with its scope; gone through once."""
        if not self.found:
            waiting: list[tuple[ast.AST, NameScope]] = [(self.module.node, self.module)]
            while waiting:
                parent, scope = waiting.pop()
                children = (one for one in ast.iter_child_nodes(parent) if not isinstance(one, _SIGNS))
                inner = [(one, self.scopes.get(id(one), scope)) for one in children]
                self.found += ((one, scope) for one, _ in inner)
                waiting += inner
        return self.found


@lru_cache(maxsize=64)
def indexed(source: Source) -> Index:
    """The index of a file, made once."""
    return Indexer(source.tree).index


class Indexer:
    """Walks a module once."""

    def __init__(self, tree: ast.Module) -> None:
        module = NameScope(tree, "module", None, Place())
        self.index = Index(module)
        self._block(tree.body, module, Place())

    def _block(self, body: list[ast.stmt], scope: NameScope, place: Place) -> None:
        for statement in body:
            self._statement(statement, scope, place)
            if isinstance(statement, _ENDS):
                place = Place(place.looped, place.conditional, True)

    def _statement(self, node: ast.stmt, scope: NameScope, place: Place) -> None:
        handler = _STATEMENTS.get(type(node))
        if handler is not None:
            handler(self, node, scope, place)
            return
        for child in ast.iter_child_nodes(node):
            self._visit(child, scope, place, node)

    def _assign(self, node: ast.Assign, scope: NameScope, place: Place) -> None:
        self.index.assigned.append(Seen(node, scope, place, node))
        for target in node.targets:
            self._bind(target, Binding("expression", scope, node.value), place, node)
        self._visit(node.value, scope, place, node)

    def _annotated(self, node: ast.AnnAssign, scope: NameScope, place: Place) -> None:
        if node.value is not None:
            self._bind(node.target, Binding("expression", scope, node.value), place, node)
            self._visit(node.value, scope, place, node)

    def _augmented(self, node: ast.AugAssign, scope: NameScope, place: Place) -> None:
        self.index.augmented.append(Seen(node, scope, place, node))
        self._bind(node.target, Binding("augmented", scope, node, type(node.op).__name__), place, node)
        self._visit(node.value, scope, place, node)

    def _for(self, node: "ast.For | ast.AsyncFor", scope: NameScope, place: Place) -> None:
        self._visit(node.iter, scope, place, node)
        inner = Place(True, place.conditional, place.dead)
        self._bind(node.target, Binding("each", scope, node.iter), inner, node)
        self._block(node.body, scope, inner)
        self._block(node.orelse, scope, place)

    def _while(self, node: ast.While, scope: NameScope, place: Place) -> None:
        self._visit(node.test, scope, place, node)
        dead = place.dead or _constant_truth(node.test) is False
        self._block(node.body, scope, Place(True, place.conditional, dead))
        self._block(node.orelse, scope, place)

    def _with(self, node: "ast.With | ast.AsyncWith", scope: NameScope, place: Place) -> None:
        for item in node.items:
            self._visit(item.context_expr, scope, place, node)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, Binding("expression", scope, item.context_expr), place, node)
        self._block(node.body, scope, place)

    def _import(self, node: ast.Import, scope: NameScope, _: Place) -> None:
        for alias in node.names:
            root = alias.name.split(".")[0]
            name, detail = alias.asname or root, alias.name if alias.asname else root
            scope.bindings[name].append(Binding("import", scope, node, detail))

    def _import_from(self, node: ast.ImportFrom, scope: NameScope, _: Place) -> None:
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            name, detail = alias.asname or alias.name, f"{base}.{alias.name}"
            scope.bindings[name].append(Binding("import", scope, node, detail))

    def _global(self, node: ast.Global, scope: NameScope, _: Place) -> None:
        for name in node.names:
            scope.bindings.setdefault(name, self.index.module.bindings[name])

    def _nonlocal(self, node: ast.Nonlocal, scope: NameScope, _: Place) -> None:
        for name in node.names:
            outer = scope.parent.find(name) if scope.parent else None
            if outer is not None:
                scope.bindings.setdefault(name, outer.bindings[name])

    def _return(self, node: ast.Return, scope: NameScope, place: Place) -> None:
        if node.value is not None:
            scope.returns.append(node.value)
            self._visit(node.value, scope, place, node)

    def _discarded(self, node: "ast.Expr | ast.Assert", scope: NameScope, place: Place) -> None:
        """An expression whose value nobody takes."""
        value = node.value if isinstance(node, ast.Expr) else node.test
        self.index.discards.append(Seen(value, scope, place, node))
        self._visit(value, scope, place, node)

    def _delete(self, node: ast.Delete, scope: NameScope, place: Place) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                self._visit(target, scope, place, node)

    def _if(self, node: ast.If, scope: NameScope, place: Place) -> None:
        self._visit(node.test, scope, place, node)
        truth = True if _is_main_test(node.test) else _constant_truth(node.test)
        unsure = place.conditional or truth is None
        self._block(node.body, scope, Place(place.looped, unsure, place.dead or truth is False))
        self._block(node.orelse, scope, Place(place.looped, unsure, place.dead or truth is True))

    def _try(self, node: "ast.Try | ast.TryStar", scope: NameScope, place: Place) -> None:
        self._block(node.body, scope, place)
        unsure = Place(place.looped, True, place.dead)
        for handler in node.handlers:
            if handler.name:
                scope.bindings[handler.name].append(Binding("opaque", scope))
            self._block(handler.body, scope, unsure)
        self._block(node.orelse, scope, unsure)
        self._block(node.finalbody, scope, place)

    def _match(self, node: ast.Match, scope: NameScope, place: Place) -> None:
        self._visit(node.subject, scope, place, node)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                for name in (getattr(part, "name", None), getattr(part, "rest", None)):
                    if isinstance(name, str):
                        scope.bindings[name].append(Binding("item", scope, node.subject, "match"))
            if case.guard is not None:
                self._visit(case.guard, scope, place, node)
            self._block(case.body, scope, Place(place.looped, True, place.dead))

    def _function(self, node: FunctionNode, scope: NameScope, place: Place) -> None:
        inner = NameScope(node, "function", scope, place)
        self.index.scopes[id(node)] = inner
        for argument in all_arguments(node.args):
            inner.bindings[argument.arg].append(Binding("parameter", inner, node, argument.arg))
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self._visit(default, scope, place, node)
        if isinstance(node, ast.Lambda):
            inner.returns.append(node.body)
            self._visit(node.body, inner, Place(), node)
            return
        for decorator in node.decorator_list:
            self._visit(decorator, scope, place, node)
        scope.bindings[node.name].append(Binding("function", inner, node))
        self.index.functions[node.name].append(inner)
        self._block(node.body, inner, Place())

    def _class(self, node: ast.ClassDef, scope: NameScope, place: Place) -> None:
        inner = NameScope(node, "class", scope, place)
        self.index.scopes[id(node)] = inner
        scope.bindings[node.name].append(Binding("class", inner, node))
        self.index.classes[node.name].append(inner)
        for expression in (*node.bases, *(keyword.value for keyword in node.keywords), *node.decorator_list):
            self._visit(expression, scope, place, node)
        self._block(node.body, inner, place)

    def _bind(self, target: ast.expr, binding: Binding, place: Place, parent: ast.stmt | ast.expr) -> None:
        scope = binding.scope
        if isinstance(target, ast.Name):
            scope.bindings[target.id].append(binding)
        elif isinstance(target, ast.Tuple | ast.List):
            for index, element in enumerate(target.elts):
                self._bind(element, _part(binding, index, len(target.elts)), place, parent)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, binding, place, parent)
        else:
            self.index.stores.append(Seen(target, scope, place, parent))
            value = binding.node.value if isinstance(binding.node, ast.AugAssign) else binding.node
            if isinstance(value, ast.expr):
                self._stored(target, value, scope)
            for child in ast.iter_child_nodes(target):
                self._visit(child, scope, place, target)

    def _stored(self, target: ast.expr, value: ast.expr, scope: NameScope) -> None:
        if (key := field_name(target)) is not None:
            self.index.fields[key].append((value, scope))
        elif isinstance(target, ast.Subscript) and not isinstance(target.slice, _NO_TEXT):
            self.index.spelled.append((target.slice, value, scope))

    def _visit(self, node: ast.AST, scope: NameScope, place: Place, parent: ast.AST) -> None:
        self.index.parents[id(node)] = parent
        handler = _EXPRESSIONS.get(type(node))
        if handler is not None and handler(self, node, scope, place, parent):
            return
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, _INNER):
                self._visit(value, scope, place, node)
            elif value.__class__ is list:
                for item in value:
                    if isinstance(item, ast.AST):
                        self._visit(item, scope, place, node)

    # Handlers of expressions say whether they have looked inside.

    def _read(self, node: ast.Name, scope: NameScope, place: Place, parent: ast.AST) -> bool:
        self.index.loaded.add(node.id)
        self.index.leaves.append(Seen(node, scope, place, parent))
        return True

    def _literal(self, node: ast.Constant, scope: NameScope, place: Place, parent: ast.AST) -> bool:
        if isinstance(node.value, str):
            self.index.strings.append(Seen(node, scope, place, parent))
        elif type(node.value) is int and node.value >= _LARGE_NUMBER:
            self.index.numbers.append(Seen(node, scope, place, parent))
        return True

    def _product(self, node: ast.BinOp, scope: NameScope, place: Place, parent: ast.AST) -> bool:
        if isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Call) | isinstance(
            node.right, ast.Call
        ):
            self.index.products.append(Seen(node, scope, place, parent))
        return False

    def _attribute(self, node: ast.Attribute, scope: NameScope, place: Place, parent: ast.AST) -> bool:
        self.index.leaves.append(Seen(node, scope, place, parent))
        return False

    def _called(self, node: ast.Call, scope: NameScope, place: Place, parent: ast.AST) -> bool:
        self.index.calls.append(Seen(node, scope, place, parent))
        return False

    def _dictionary(self, node: ast.Dict, scope: NameScope, _: Place, __: ast.AST) -> bool:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self.index.fields[key.value].append((value, scope))
            elif key is not None and not isinstance(key, ast.Constant):
                self.index.spelled.append((key, value, scope))
        return False

    def _walrus(self, node: ast.NamedExpr, scope: NameScope, place: Place, _: ast.AST) -> bool:
        self._bind(node.target, Binding("expression", _holder(scope), node.value), place, node)
        self._visit(node.value, scope, place, node)
        return True

    def _lambda(self, node: ast.Lambda, scope: NameScope, place: Place, _: ast.AST) -> bool:
        self._function(node, scope, place)
        return True

    def _choice(self, node: ast.IfExp | ast.BoolOp, scope: NameScope, place: Place, _: ast.AST) -> bool:
        first, *rest = [node.test, node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
        self._visit(first, scope, place, node)
        for part in rest:
            self._visit(part, scope, Place(place.looped, True, place.dead), node)
        return True

    def _comprehension(self, node: Comprehension, scope: NameScope, place: Place, _: ast.AST) -> bool:
        inner = NameScope(node, "comprehension", scope, place)
        self.index.scopes[id(node)] = inner
        looped = Place(True, place.conditional, place.dead)
        for generator in node.generators:
            self._visit(generator.iter, inner, place, node)
            self._bind(generator.target, Binding("each", inner, generator.iter), looped, node)
            for condition in generator.ifs:
                self._visit(condition, inner, looped, node)
        for name in ("elt", "key", "value"):
            if isinstance(part := getattr(node, name, None), ast.AST):
                self._visit(part, inner, looped, node)
        return True


def _part(binding: Binding, index: int, count: int) -> Binding:
    """The binding of one name of an unpacking."""
    value = binding.node
    if binding.how == "expression" and isinstance(value, ast.Tuple | ast.List) and len(value.elts) == count:
        return Binding("expression", binding.scope, value.elts[index])
    return Binding("item" if binding.how == "expression" else "each", binding.scope, value, index)


def _holder(scope: NameScope) -> NameScope:
    """Where `:=` inside a comprehension binds."""
    while scope.kind == "comprehension" and scope.parent is not None:
        scope = scope.parent
    return scope


def field_name(target: ast.expr) -> str | None:
    """What `x.name` or `x["name"]` is called, None for others."""
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return target.slice.value if isinstance(target.slice.value, str) else None
    return None


def all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    """Every parameter, starred ones included."""
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


def _constant_truth(test: ast.expr) -> bool | None:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _constant_truth(test.operand)
        return None if inner is None else not inner
    return None


def _is_main_test(test: ast.expr) -> bool:
    match test:
        case ast.Compare(
            left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
        ):
            return True
    return False


_STATEMENTS: dict[type[ast.AST], Callable[..., None]] = {
    ast.FunctionDef: Indexer._function,
    ast.AsyncFunctionDef: Indexer._function,
    ast.ClassDef: Indexer._class,
    ast.Assign: Indexer._assign,
    ast.AnnAssign: Indexer._annotated,
    ast.AugAssign: Indexer._augmented,
    ast.For: Indexer._for,
    ast.AsyncFor: Indexer._for,
    ast.While: Indexer._while,
    ast.If: Indexer._if,
    ast.Try: Indexer._try,
    ast.TryStar: Indexer._try,
    ast.With: Indexer._with,
    ast.AsyncWith: Indexer._with,
    ast.Import: Indexer._import,
    ast.ImportFrom: Indexer._import_from,
    ast.Global: Indexer._global,
    ast.Nonlocal: Indexer._nonlocal,
    ast.Return: Indexer._return,
    ast.Expr: Indexer._discarded,
    ast.Assert: Indexer._discarded,
    ast.Delete: Indexer._delete,
    ast.Match: Indexer._match,
}
_EXPRESSIONS: dict[type[ast.AST], Callable[..., bool]] = {
    ast.Name: Indexer._read,
    ast.Constant: Indexer._literal,
    ast.Attribute: Indexer._attribute,
    ast.Call: Indexer._called,
    ast.BinOp: Indexer._product,
    ast.Dict: Indexer._dictionary,
    ast.NamedExpr: Indexer._walrus,
    ast.Lambda: Indexer._lambda,
    ast.ListComp: Indexer._comprehension,
    ast.SetComp: Indexer._comprehension,
    ast.DictComp: Indexer._comprehension,
    ast.GeneratorExp: Indexer._comprehension,
    ast.IfExp: Indexer._choice,
    ast.BoolOp: Indexer._choice,
}
