"""One candidate's Python files together: who calls whom, which argument is the harness's seed."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from guards.source.index import Binding, FunctionNode, Index, NameScope, Seen, indexed
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


class SourceProgram:
    """The indexes of all files, and what only several of them together can tell."""

    def __init__(self, files: Sequence[Source]) -> None:
        self.indexes: dict[str, Index] = {}
        for source in files:
            self.indexes[_module_name(source.path)] = indexed(source)
        self.calls = [call for index in self.indexes.values() for call in index.calls]

    def index_of(self, path: str) -> Index:
        """The index of one file by its path."""
        return self.indexes[_module_name(path)]

    def lookup(self, dotted: str) -> tuple[NameScope, str] | None:
        """The module scope and name behind `module.name`, when that module is one of the program's files."""
        module, _, name = dotted.strip(".").rpartition(".")
        index = self.indexes.get(module)
        return (index.module, name) if index is not None and name in index.module.bindings else None

    def scope_of(self, node: ast.AST) -> NameScope | None:
        """The scope that a function, lambda, class or comprehension opens."""
        for index in self.indexes.values():
            if id(node) in index.scopes:
                return index.scopes[id(node)]
        return None

    def methods(self, name: str) -> list[NameScope]:
        """Every method of that name, in any class."""
        found = [scope for index in self.indexes.values() for scope in index.functions.get(name, ())]
        return [scope for scope in found if scope.parent is not None and scope.parent.kind == "class"]

    @cached_property
    def classes(self) -> dict[str, list[NameScope]]:
        found: dict[str, list[NameScope]] = defaultdict(list)
        for index in self.indexes.values():
            for name, scopes in index.classes.items():
                found[name] += scopes
        return found

    def own_functions(self, name: str) -> list[NameScope]:
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

    def is_own(self, reference: ast.AST, scope: NameScope) -> bool:
        """Whether a call of a reference may enter a function or class of the program."""
        return bool(self.entered(reference, scope))

    def entered(self, reference: ast.AST, scope: NameScope) -> list[NameScope]:
        """The program's functions that a call of a reference may enter; a class by its __init__."""
        if self.is_imported(reference, scope):
            return []
        return [
            one for one in self.own_functions(last_name(reference)) if self.reaches(reference, scope, one)
        ]

    def is_own_class(self, reference: ast.AST, scope: NameScope) -> bool:
        """Whether a reference has the name of a class of the program, and is not imported."""
        return last_name(reference) in self.classes and not self.is_imported(reference, scope)

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

    def all_scopes(self) -> Iterator[NameScope]:
        for index in self.indexes.values():
            yield index.module
            yield from index.scopes.values()

    def names_of(self, function: NameScope) -> set[str]:
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

    def sites(self, function: NameScope) -> list[Seen]:
        """Calls that may reach a function. A lambda that is called on the spot has its own call as site."""
        named = (call for name in self.names_of(function) for call in self.calls_by_name.get(name, ()))
        found = [
            call
            for call in named
            if self.reaches(getattr(call.node, "func", call.node), call.scope, function)
        ]
        if getattr(function.node, "name", "") == "__init__":
            found += [call for call in self.calls_by_name.get("__init__", ()) if self.enters(call, function)]
        if isinstance(function.node, ast.Lambda):
            found += [
                c for c in self.calls_by_name.get("", ()) if getattr(c.node, "func", None) is function.node
            ]
        return found

    def reaches(self, reference: ast.AST, scope: NameScope, function: NameScope) -> bool:
        """Whether a reference that has a function's name can mean it, by what stands before the dot.

        `model.train` is no function of the file that is called `train`, `platform.system` no method of it.
        """
        if self.is_imported(reference, scope):
            return False
        is_class_like = function.kind == "class" or getattr(function.node, "name", "") == "__init__"
        if isinstance(function.node, ast.Lambda) or is_class_like:
            return True
        if function.parent is not None and function.parent.kind == "class":
            return isinstance(reference, ast.Attribute) and self._may_be_own(
                reference.value, scope, function.parent
            )
        return isinstance(reference, ast.Name) or self._module_behind(reference, scope)

    def is_imported(self, reference: ast.AST, scope: NameScope) -> bool:
        """Whether a dotted name starts at an import of something that is none of the program's files."""
        root = reference
        while isinstance(root, ast.Attribute):
            root = root.value
        home = scope.find(root.id) if isinstance(root, ast.Name) else None
        if home is None or not isinstance(root, ast.Name):
            return False
        details = [str(one.detail) for one in home.bindings[root.id] if one.how == "import"]
        foreign = [one for one in details if one not in self.indexes and self.lookup(one) is None]
        return len(foreign) == len(home.bindings[root.id])

    def _module_behind(self, reference: ast.AST, scope: NameScope) -> bool:
        """Whether `module` of `module.name` is one of the program's files."""
        base = reference.value if isinstance(reference, ast.Attribute) else None
        home = scope.find(base.id) if isinstance(base, ast.Name) else None
        if home is None or not isinstance(base, ast.Name):
            return False
        return any(one.how == "import" and str(one.detail) in self.indexes for one in home.bindings[base.id])

    def _may_be_own(self, receiver: ast.expr, scope: NameScope, owner: NameScope) -> bool:
        """Whether an object can be of a class of the program, as far as it is seen where the object comes from."""
        known = self.class_of(receiver, scope)
        return known is None or self.are_related(known, owner)

    def class_of(self, receiver: ast.expr, scope: NameScope) -> NameScope | None:
        """The class of `self`, and of a name that is only ever bound to objects of one class; None if not known."""
        if not isinstance(receiver, ast.Name):
            return None
        home = scope.find(receiver.id)
        if home is None:
            return None
        if holder := _class_of_first_parameter(home, receiver.id):
            return holder
        made = {self._made_by(one) for one in home.bindings[receiver.id]}
        return made.pop() if len(made) == 1 else None

    def _made_by(self, binding: Binding) -> NameScope | None:
        if binding.how != "expression" or not isinstance(binding.node, ast.Call):
            return None
        scopes = self.classes.get(last_name(binding.node.func), [])
        is_plain = isinstance(binding.node.func, ast.Name) and len(scopes) == 1
        return scopes[0] if is_plain else None

    def are_related(self, one: NameScope, other: NameScope) -> bool:
        """Whether two classes of the program are the same, or one comes from the other or from a common base."""
        return bool(self._family(one) & self._family(other))

    def is_worker_hook(self, leaf: Seen) -> bool:
        """Whether a function is handed to a data loader, to be called once in each worker."""
        return isinstance(leaf.parent, ast.keyword) and leaf.parent.arg == "worker_init_fn"

    def _family(self, scope: NameScope) -> set[str]:
        """A class, its bases and theirs, and what derives from it, by name."""
        found, todo = set[str](), [getattr(scope.node, "name", "")]
        while todo:
            name = todo.pop()
            if name and name not in found:
                found.add(name)
                todo += [*self._bases.get(name, ()), *self._derived.get(name, ())]
        return found

    @cached_property
    def _bases(self) -> dict[str, set[str]]:
        """Class of the program -> its bases that are the program's as well."""
        found: dict[str, set[str]] = defaultdict(set)
        for name, scopes in self.classes.items():
            for scope in scopes:
                bases = scope.node.bases if isinstance(scope.node, ast.ClassDef) else []
                found[name].update(base for base in map(last_name, bases) if base in self.classes)
        return found

    @cached_property
    def _derived(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for name, bases in self._bases.items():
            for base in bases:
                found[base].add(name)
        return found

    def enters(self, call: Seen, constructor: NameScope) -> bool:
        """Whether `super().__init__()` or `Base.__init__(self)` means this constructor."""
        assert isinstance(call.node, ast.Call)
        assert isinstance(call.node.func, ast.Attribute)
        names = self.names_of(constructor)
        if last_name(call.node.func.value) in names:
            return True
        scope: NameScope | None = call.scope
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        bases = scope.node.bases if scope is not None and isinstance(scope.node, ast.ClassDef) else []
        return any(last_name(base) in names for base in bases)

    def escapes(self, function: NameScope) -> list[Seen]:
        """Reads of a function's name that neither call it nor give it another name."""
        named = (leaf for name in self.names_of(function) for leaf in self._handed_on.get(name, ()))
        return [leaf for leaf in named if self.reaches(leaf.node, leaf.scope, function)]

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

    def stored(self, name: str) -> Iterator[tuple[ast.expr, NameScope]]:
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
        for call in self.calls:
            assert isinstance(call.node, ast.Call)
            called = last_name(call.node.func)
            if called in _NAMESPACES or called in self.classes:
                for name, value in self._given_fields(call.node, called):
                    found[name].append((call, value))
            elif called in _SETTERS:
                for key, value in zip(call.node.args, call.node.args[1:], strict=False):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found[key.value].append((call, value))
        return found

    def _given_fields(self, node: ast.Call, called: str) -> Iterator[tuple[str, ast.expr]]:
        yield from ((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg is not None)
        for scope in self.classes.get(called, ()):
            yield from zip(_annotated(scope), node.args, strict=False)

    @cached_property
    def spelled_stores(self) -> list[tuple[ast.expr, ast.expr, NameScope]]:
        """(key, value, scope) of what is stored under a key that is spelled as an expression."""
        found = [one for index in self.indexes.values() for one in index.spelled]
        for call in self.calls:
            assert isinstance(call.node, ast.Call)
            if last_name(call.node.func) not in _SETTERS:
                continue
            for key, value in pairwise(call.node.args):
                if isinstance(key, ast.BinOp | ast.Call | ast.JoinedStr | ast.Subscript | ast.Name):
                    found.append((key, value, call.scope))
        return found

    def _class_level(self, scope: NameScope, name: str) -> Iterator[tuple[ast.expr, NameScope]]:
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


def _module_name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c` and of `c`, "" for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _class_of_first_parameter(home: NameScope, name: str) -> NameScope | None:
    """The class whose method has a name as its first parameter: self."""
    holder = home.parent
    if home.kind != "function" or holder is None or holder.kind != "class":
        return None
    node = home.node
    assert isinstance(node, FunctionNode)
    first = [*node.args.posonlyargs, *node.args.args][:1]
    is_static = any(last_name(mark) == "staticmethod" for mark in getattr(node, "decorator_list", ()))
    return holder if first and first[0].arg == name and not is_static else None


def _only_named(leaf: Seen) -> bool:
    """A class as a base of another or in isinstance: nobody gets to call it there."""
    if isinstance(leaf.parent, ast.ClassDef):
        return leaf.node in leaf.parent.bases
    return isinstance(leaf.parent, ast.Call) and last_name(leaf.parent.func) in ("isinstance", "issubclass")


def _alias_target(binding: Binding) -> str:
    if binding.how == "expression" and isinstance(binding.node, ast.Name | ast.Attribute):
        return last_name(binding.node)
    return str(binding.detail).rpartition(".")[2] if binding.how == "import" else ""


def _annotated(scope: NameScope) -> list[str]:
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
