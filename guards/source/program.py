"""One candidate's Python files together: who calls whom, which argument is the harness's seed."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from guards.source.index import Binding, Index, Scope, Seen, indexed
from guards.source.syntax import Source

SEED_OPTION = "--seed"
_NAMESPACES = {
    "SimpleNamespace",
    "Namespace",
    "replace",
    "_replace",
    "set_defaults",
    "update",
    "dict",
    "namedtuple",
}
_SETTERS = {"setattr", "__setattr__", "setdefault", "putenv", "setenv", "__setitem__"}


class Program:
    """The indexes of all files, and what only several of them together can tell."""

    def __init__(self, files: Sequence[Source]) -> None:
        self.indexes: dict[str, Index] = {}
        for source in files:
            self.indexes[source.path.removesuffix(".py").replace("/", ".")] = indexed(source)
        self.calls = [call for index in self.indexes.values() for call in index.calls]

    def lookup(self, dotted: str) -> tuple[Scope, str] | None:
        """The module scope and name behind `module.name`, when that module is one of the program's files."""
        module, _, name = dotted.strip(".").rpartition(".")
        index = self.indexes.get(module)
        return (index.module, name) if index is not None and name in index.module.bindings else None

    def scope_of(self, node: ast.AST) -> Scope | None:
        """The scope that a function, lambda, class or comprehension opens."""
        for index in self.indexes.values():
            if id(node) in index.scopes:
                return index.scopes[id(node)]
        return None

    def methods(self, name: str) -> list[Scope]:
        """Every method of that name, in any class."""
        found = [scope for index in self.indexes.values() for scope in index.functions.get(name, ())]
        return [scope for scope in found if scope.parent is not None and scope.parent.kind == "class"]

    @cached_property
    def classes(self) -> dict[str, list[Scope]]:
        found: dict[str, list[Scope]] = defaultdict(list)
        for index in self.indexes.values():
            for name, scopes in index.classes.items():
                found[name] += scopes
        return found

    def own_functions(self, name: str) -> list[Scope]:
        """The program's functions that a call by that name may enter; a class by its __init__."""
        names = {name} | {target for target, aliases in self.aliases.items() if name in aliases}
        found = [
            scope
            for index in self.indexes.values()
            for one in names
            for scope in index.functions.get(one, ())
        ]
        for one in names:
            for scope in self.classes.get(one, ()):
                found += [
                    bound.scope for bound in scope.bindings.get("__init__", ()) if bound.how == "function"
                ]
        return found

    def is_own(self, name: str) -> bool:
        """Whether a call by that name may enter a function or class of the program."""
        return name in self._function_names

    # calls

    @cached_property
    def calls_by_name(self) -> dict[str, list[Seen]]:
        """Last part of the callee's name -> calls."""
        found: dict[str, list[Seen]] = defaultdict(list)
        for call in self.calls:
            assert isinstance(call.node, ast.Call)
            found[last_name(call.node.func)].append(call)
        return found

    @cached_property
    def aliases(self) -> dict[str, set[str]]:
        """Name -> further names that are bound to it as it is (`g = f`, `import f as g`)."""
        found: dict[str, set[str]] = defaultdict(set)
        for scope in self.all_scopes():
            for name, bindings in scope.bindings.items():
                for binding in bindings:
                    if (target := _alias_target(binding)) and target != name:
                        found[target].add(name)
        return found

    def all_scopes(self) -> Iterator[Scope]:
        for index in self.indexes.values():
            yield index.module
            yield from index.scopes.values()

    def names_of(self, function: Scope) -> set[str]:
        """Every name under which a function, method or class may be called."""
        node = function.node
        if isinstance(node, ast.Lambda):
            names = self._lambda_names.get(id(node), set())
        else:
            names = (
                {node.name}
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                else set()
            )
        if names == {"__init__"} and function.parent is not None:
            return self.names_of(function.parent)
        todo, found = list(names), set(names)
        while todo:
            for alias in self.aliases.get(todo.pop(), ()):
                if alias not in found:
                    found.add(alias)
                    todo.append(alias)
        return found

    @cached_property
    def _lambda_names(self) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        for scope in self.all_scopes():
            for name, bindings in scope.bindings.items():
                for binding in bindings:
                    if isinstance(binding.node, ast.Lambda):
                        found[id(binding.node)].add(name)
        return found

    def sites(self, function: Scope) -> list[Seen]:
        """Calls that may reach a function. A lambda that is called on the spot has its own call as site."""
        named = (call for name in self.names_of(function) for call in self.calls_by_name.get(name, ()))
        found = [call for call in named if _fits(function, getattr(call.node, "func", None))]
        if getattr(function.node, "name", "") == "__init__":
            found += [call for call in self.calls_by_name.get("__init__", ()) if self.enters(call, function)]
        if isinstance(function.node, ast.Lambda):
            found += [
                c for c in self.calls_by_name.get("", ()) if getattr(c.node, "func", None) is function.node
            ]
        return found

    def enters(self, call: Seen, constructor: Scope) -> bool:
        """Whether `super().__init__()` or `Base.__init__(self)` means this constructor."""
        assert isinstance(call.node, ast.Call)
        assert isinstance(call.node.func, ast.Attribute)
        names = self.names_of(constructor)
        if last_name(call.node.func.value) in names:
            return True
        scope: Scope | None = call.scope
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        bases = scope.node.bases if scope is not None and isinstance(scope.node, ast.ClassDef) else []
        return any(last_name(base) in names for base in bases)

    def escapes(self, function: Scope) -> list[Seen]:
        """Reads of a function's name that neither call it nor give it another name."""
        named = (leaf for name in self.names_of(function) for leaf in self._handed_on.get(name, ()))
        return [leaf for leaf in named if _fits(function, leaf.node)]

    @cached_property
    def _handed_on(self) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = defaultdict(list)
        for index in self.indexes.values():
            for leaf in index.leaves:
                name = last_name(leaf.node)
                called = isinstance(leaf.parent, ast.Call) and leaf.parent.func is leaf.node
                renamed = isinstance(leaf.parent, ast.Assign) and isinstance(leaf.parent.targets[0], ast.Name)
                inner = isinstance(leaf.parent, ast.Attribute) or _only_named(leaf)
                if name in self._function_names and not called and not renamed and not inner:
                    found[name].append(leaf)
        return found

    @cached_property
    def _function_names(self) -> set[str]:
        names = {name for index in self.indexes.values() for name in index.functions} | set(self.classes)
        names.update(name for some in self._lambda_names.values() for name in some)
        return names | {alias for name in list(names) for alias in self.aliases.get(name, ())}

    # what is stored under a name

    def stored(self, name: str) -> Iterator[tuple[ast.expr, Scope]]:
        """Expressions that are stored under an attribute or a string key anywhere."""
        for index in self.indexes.values():
            yield from index.fields.get(name, ())
        for call, value in self._keywords.get(name, ()):
            yield value, call.scope
        for scopes in self.classes.values():
            for scope in scopes:
                yield from self._class_level(scope, name)

    @cached_property
    def _keywords(self) -> dict[str, list[tuple[Seen, ast.expr]]]:
        """Keywords of calls that make or change an object with fields; setattr and its relatives."""
        found: dict[str, list[tuple[Seen, ast.expr]]] = defaultdict(list)
        constructors = _NAMESPACES | set(self.classes)
        for call in self.calls:
            node = call.node
            assert isinstance(node, ast.Call)
            called = last_name(node.func)
            if called in constructors:
                for keyword in node.keywords:
                    if keyword.arg is not None:
                        found[keyword.arg].append((call, keyword.value))
                for scope in self.classes.get(called, ()):
                    for key, value in zip(_annotated(scope), node.args, strict=False):
                        found[key].append((call, value))
            elif called in _SETTERS:
                for key_node, value in zip(node.args, node.args[1:], strict=False):
                    if isinstance(key_node, ast.Constant) and isinstance(key_node.value, str):
                        found[key_node.value].append((call, value))
        return found

    def _class_level(self, scope: Scope, name: str) -> Iterator[tuple[ast.expr, Scope]]:
        """A value given in a class body counts unless every construction gives another."""
        defaults = [one.node for one in scope.bindings.get(name, ()) if one.how == "expression"]
        if not defaults:
            return
        sites = self.sites(scope)
        position = _annotated(scope).index(name) if name in _annotated(scope) else None
        if sites and all(_gives(site.node, name, position) for site in sites):
            return
        for default in defaults:
            if isinstance(default, ast.expr):
                yield default, scope

    # the command line

    @cached_property
    def option_calls(self) -> list[tuple[str, str, Seen]]:
        """(option, name that its value gets, call) for every add_argument."""
        found = []
        for call in self.calls_by_name.get("add_argument", ()):
            node = call.node
            assert isinstance(node, ast.Call)
            flags = [
                one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            if not flags:
                continue
            option = next((flag for flag in flags if flag.startswith("--")), flags[0])
            given = next((k.value for k in node.keywords if k.arg == "dest"), None)
            name = given.value if isinstance(given, ast.Constant) else option.lstrip("-").replace("-", "_")
            found.append((option, str(name), call))
        return found

    @cached_property
    def options(self) -> dict[str, str]:
        """Name of a parsed argument -> its option."""
        return {name: option for option, name, _ in self.option_calls}

    @cached_property
    def seed_names(self) -> set[str]:
        """Names under which the harness's seed comes out of the argument parser."""
        return {name for option, name, _ in self.option_calls if option == SEED_OPTION}


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c` and of `c`, "" for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _fits(function: Scope, reference: ast.AST | None) -> bool:
    """A method is reached through an object, never by its bare name."""
    is_method = (
        function.kind == "function" and function.parent is not None and function.parent.kind == "class"
    )
    if not is_method or getattr(function.node, "name", "") == "__init__":
        return True
    return isinstance(reference, ast.Attribute)


def _only_named(leaf: Seen) -> bool:
    """A class as a base of another or in isinstance: nobody gets to call it there."""
    if isinstance(leaf.parent, ast.ClassDef):
        return leaf.node in leaf.parent.bases
    return isinstance(leaf.parent, ast.Call) and last_name(leaf.parent.func) in ("isinstance", "issubclass")


def _alias_target(binding: Binding) -> str:
    if binding.how == "expression" and isinstance(binding.node, ast.Name | ast.Attribute):
        return last_name(binding.node)
    return str(binding.detail).rpartition(".")[2] if binding.how == "import" else ""


def _annotated(scope: Scope) -> list[str]:
    """The fields of a dataclass in order."""
    body = scope.node.body if isinstance(scope.node, ast.ClassDef) else []
    return [
        one.target.id for one in body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    ]


def _gives(call: ast.AST, name: str, position: int | None) -> bool:
    assert isinstance(call, ast.Call)
    if any(keyword.arg == name for keyword in call.keywords):
        return True
    return position is not None and len(call.args) > position
