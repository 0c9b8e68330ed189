"""Every place where a program sets, saves or asks for the state of a random number generator."""

import ast
from collections import Counter
from dataclasses import dataclass, field

from guards.seeding.draws import bare_generators, burned, draws_before_seed, global_draws
from guards.seeding.uses import uses
from guards.source.index import Index, Scope, Seen, field_name
from guards.source.program import SEED_OPTION, Program, last_name
from guards.source.seed_names import GLOBAL, MAKERS, SINKS, SWITCHES, TELLING, VARIABLES
from guards.source.values import HARNESS, Value, Values, alternatives, mentions

_OVERWRITES = {"__defaults__", "__kwdefaults__", "__code__", "__dict__", "__getattribute__"}
_INTERCEPTORS = ("__getattr__", "__getattribute__", "__setattr__", "__class_getitem__", "__missing__")
_REFLECTION = {"attrgetter", "methodcaller", "__getattribute__"}
_SAME_PLACE = {
    "torch.random.manual_seed": "torch.manual_seed",
    "torch.default_generator.manual_seed": "torch.manual_seed",
    "torch.random.default_generator.manual_seed": "torch.manual_seed",
    "torch.cuda.random.manual_seed": "torch.cuda.manual_seed",
    "torch.cuda.random.manual_seed_all": "torch.cuda.manual_seed_all",
}
_HOOKS = {"forward", "step", "backward", "__call__", "__iter__", "__next__", "__getitem__", "__getattr__"}


@dataclass(frozen=True, slots=True)
class Sink:
    """what: canonical callee ("torch.manual_seed", "*.manual_seed" for an object's). value: its arguments.
    reach: always | conditional | looped | dead."""

    kind: str
    what: str
    value: str
    reach: str


@dataclass(slots=True)
class Facts:
    """All that bears on seeding in one program. values: the values behind each sink, for the explanation."""

    sinks: Counter[Sink] = field(default_factory=Counter)
    values: dict[Sink, tuple[Value, ...]] = field(default_factory=dict)
    lines: dict[Sink, int] = field(default_factory=dict)
    draws: Counter[str] = field(default_factory=Counter)  # from hidden generators, by library
    bare_generators: int = 0
    draws_before_seed: bool = False

    def add(self, sink: Sink, values: tuple[Value, ...], line: int) -> None:
        self.sinks[sink] += 1
        self.values[sink] = values
        self.lines.setdefault(sink, line)


class Collector:
    """Reads the facts out of a program. Raises TooComplex."""

    def __init__(self, program: Program) -> None:
        self.program, self.of = program, Values(program)
        self.facts = Facts()
        self._reach: dict[int, str] = {}
        self._callees: set[int] = set()
        for call in program.calls:
            self._call(call)
        for index in program.indexes.values():
            self._mentions(index)
            for store in index.stores:
                self._store(store)
            for text in index.strings:
                self._string(text)
        self._variables()
        self._draws_and_uses()

    def _draws_and_uses(self) -> None:
        program, values, facts = self.program, self.of, self.facts
        for index in program.indexes.values():
            for name in _INTERCEPTORS:
                for scope in index.functions.get(name, ()):
                    self._add(
                        "reflection",
                        name,
                        (),
                        Seen(scope.node, scope.parent or scope, scope.place, scope.node),
                    )
        facts.draws = global_draws(program, values)
        facts.bare_generators = bare_generators(program, values)
        facts.draws_before_seed = draws_before_seed(program, values)
        for name, seen in burned(program, values):
            node = seen.node
            given = self._arguments(seen, node) if isinstance(node, ast.Call) else ()
            self._add("burn", name, given, seen)
        for where, value, seen in uses(program, values):
            self._add("use", f"--seed in {where}", (("text", value),), seen)

    def _add(self, kind: str, what: str, values: tuple[Value, ...], seen: Seen) -> None:
        sink = Sink(kind, what, repr(values), self.reach(seen))
        self.facts.add(sink, values, getattr(seen.node, "lineno", 0))

    # calls

    def _call(self, call: Seen) -> None:
        node = call.node
        assert isinstance(node, ast.Call)
        name = last_name(node.func)
        if name in ("add_argument", "parse_args", "parse_known_args"):
            self._parser(call, node, name)
        for what in self._callee(call, node, name):
            self._callees.add(id(node.func))
            self._add(_kind(what.rpartition(".")[2]), what, self._arguments(call, node), call)
        if name in _REFLECTION or (name in ("getattr", "setattr") and self._computed(call, node)):
            self._add("reflection", name, self._arguments(call, node), call)

    def _callee(self, call: Seen, node: ast.Call, name: str) -> list[str]:
        """Canonical names of the sinks that a call may reach."""
        found = sorted({_canonical(path) for path in self.of.dotted(node.func, call.scope)})
        sinks = [
            path for path in found if path.rpartition(".")[2] in SINKS and not path.startswith("builtins.")
        ]
        if not sinks and isinstance(node.func, ast.Attribute) and name in SINKS:
            sinks = [f"*.{name}"]
        return sinks

    def _arguments(self, call: Seen, node: ast.Call) -> tuple[Value, ...]:
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return tuple(self.of.of(part, call.scope) for part in parts)

    def _parser(self, call: Seen, node: ast.Call, name: str) -> None:
        if name == "add_argument":
            if any(seen is call and option == SEED_OPTION for option, _, seen in self.program.option_calls):
                given = tuple(
                    ("keyword", keyword.arg, self.of.of(keyword.value, call.scope))
                    for keyword in sorted(node.keywords, key=lambda keyword: str(keyword.arg))
                    if keyword.arg not in ("help", "dest", "required", "metavar")
                )
                self._add("argument", SEED_OPTION, given, call)
        elif node.args or node.keywords:
            self._add("argument", "parse_args", self._arguments(call, node), call)

    def _computed(self, call: Seen, node: ast.Call) -> bool:
        """getattr or setattr with a name that cannot be worked out, on something that may be a module."""
        if len(node.args) < 2:
            return True
        if self.of.of(node.args[1], call.scope)[0] == "constant":
            return False
        if last_name(node.func) == "setattr":
            return True
        if found := self.of.dotted(node.args[0], call.scope):
            return not all(path.startswith(("torch.nn", "torch.optim")) for path in found)
        return not all(_is_object(one) for one in alternatives(self.of.of(node.args[0], call.scope)))

    # everything that is no call

    def _mentions(self, index: Index) -> None:
        """A sink that is handed on (map, partial, a table) instead of being called or renamed."""
        for leaf in index.leaves:
            name = last_name(leaf.node)
            if isinstance(leaf.node, ast.Attribute):
                if (name not in SINKS and name not in _REFLECTION) or id(leaf.node) in self._callees:
                    continue
            elif not self._imported_sink(name, leaf.scope) or id(leaf.node) in self._callees:
                continue
            parent = leaf.parent
            if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
                continue  # a plain alias is followed
            if isinstance(leaf.node, ast.Attribute) and name in SWITCHES | {"seed"}:
                continue  # reading `config.seed` or a switch is no sink
            self._add("mention", name, (), leaf)

    def _imported_sink(self, name: str, scope: Scope) -> bool:
        home = scope.find(name)
        if home is None:
            return False
        ends = (str(one.detail).rpartition(".")[2] for one in home.bindings[name] if one.how == "import")
        return any(end in SINKS for end in ends)

    def _store(self, store: Seen) -> None:
        name = field_name(store.node) if isinstance(store.node, ast.expr) else None
        if name is None:
            return
        base = getattr(store.node, "value", None)
        found = self.of.dotted(base, store.scope) if base is not None else ()
        state = name == "state" and last_name(base) in ("bit_generator", "_bit_generator") if base else False
        if (
            name in SINKS - {"seed"}
            or name in _OVERWRITES
            or state
            or name == "argv"
            or (name == "seed" and found)
        ):
            value = getattr(store.parent, "value", None)
            values = (self.of.of(value, store.scope),) if isinstance(value, ast.expr) else (("each",),)
            self._add("switch" if name in SWITCHES else "state", f"{name} =", values, store)

    def _string(self, text: Seen) -> None:
        assert isinstance(text.node, ast.Constant)
        value = str(text.node.value)
        if value.rpartition(".")[2] in TELLING and not isinstance(text.parent, ast.Expr):
            self._add("mention", value.rpartition(".")[2], (), text)

    def _variables(self) -> None:
        """Environment variables that fix hashing or determinism, however they are set."""
        for index in self.program.indexes.values():
            for text in index.strings:
                assert isinstance(text.node, ast.Constant)
                if str(text.node.value) not in VARIABLES:
                    continue
                parent = text.parent
                values = self._arguments(text, parent) if isinstance(parent, ast.Call) else ()
                stored = tuple(
                    self.of.of(node, scope) for node, scope in self.program.stored(str(text.node.value))
                )
                self._add("switch", str(text.node.value), values + stored, text)
            for call in index.calls:
                assert isinstance(call.node, ast.Call)
                for keyword in call.node.keywords:
                    if keyword.arg in VARIABLES:
                        self._add("switch", str(keyword.arg), (self.of.of(keyword.value, call.scope),), call)

    # where it stands

    def reach(self, seen: Seen) -> str:
        """How often a place is reached when the program is executed once, as far as its shape tells."""
        place = seen.place
        if place.dead:
            return "dead"
        around = self._reached(_function(seen.scope))
        if around == "dead":
            return "dead"
        if place.looped or around == "looped":
            return "looped"
        return "conditional" if place.conditional else around

    def _reached(self, function: Scope | None) -> str:
        if function is None:
            return "always"
        if id(function) not in self._reach:
            self._reach[id(function)] = "always"  # for recursion
            self._reach[id(function)] = self._from_sites(function)
        return self._reach[id(function)]

    def _from_sites(self, function: Scope) -> str:
        name = getattr(function.node, "name", "")
        sites = self.program.sites(function)
        found = {self.reach(site) for site in sites if _function(site.scope) is not function} - {"dead"}
        if self.program.escapes(function):
            return "looped"  # whoever it was handed to may call it any number of times
        if not found:
            return "looped" if name in _HOOKS else "dead" if name != "__init__" else "always"
        if len(sites) > 1 and found == {"always"}:
            return "looped"
        return next(reach for reach in ("looped", "always", "conditional") if reach in found)


def _function(scope: Scope | None) -> Scope | None:
    """The function that a scope is part of, None at the level of the module."""
    while scope is not None and scope.kind != "function":
        scope = scope.parent
    return scope


def _kind(name: str) -> str:
    if name in GLOBAL:
        return "global"
    if name in MAKERS:
        return "maker"
    return "switch" if name in SWITCHES else "state"


def _is_object(value: Value) -> bool:
    """An object of a class, by the way in which it was made."""
    if value[0] in ("instance", "self"):
        return True
    made_by = value[1] if value[0] == "call" and isinstance(value[1], tuple) else ()
    if made_by[:1] == ("attribute",) and isinstance(made_by[1], tuple):
        return _is_object(made_by[1])  # model.to(device) is a model
    return made_by[:1] == ("path",) and str(made_by[1]).rpartition(".")[2][:1].isupper()


def _canonical(path: str) -> str:
    return _SAME_PLACE.get(path, path)


def uses_harness_seed(values: tuple[Value, ...]) -> bool:
    return any(mentions(value, HARNESS) for value in values)
