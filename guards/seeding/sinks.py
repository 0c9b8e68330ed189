"""Every place where a program sets, saves or asks for the state of a random number generator."""

import ast
from collections.abc import Iterator

from guards.seeding.draws import bare_generators, burned, draws_before_seed, global_draws
from guards.seeding.facts import Facts, Kind, Sink
from guards.seeding.handing import Handed, handed_on
from guards.seeding.own import own_generators
from guards.seeding.reach import Reaching
from guards.seeding.receivers import is_generator_call
from guards.seeding.reflection import computed_names, interceptors
from guards.seeding.stores import stores, variables
from guards.seeding.undo import undone
from guards.seeding.uses import mixed, tainted_names, uses
from guards.source.index import Seen
from guards.source.program import SEED_OPTION, last_name
from guards.source.seed_names import (
    GLOBAL,
    MAKERS,
    SINKS,
    STREAMS,
    SWITCHES,
    is_seed_keyword,
    is_seeding_path,
    takes_a_seed,
)
from guards.source.value import Call, Constant, Keyword, Value, constant, dotted_paths, walk
from guards.source.values import Values

_SAME_PLACE = {
    "torch.random.manual_seed": "torch.manual_seed",
    "torch.default_generator.manual_seed": "torch.manual_seed",
    "torch.random.default_generator.manual_seed": "torch.manual_seed",
    "torch.cuda.random.manual_seed": "torch.cuda.manual_seed",
    "torch.cuda.random.manual_seed_all": "torch.cuda.manual_seed_all",
}
_NO_GENERATOR = {
    "add_argument",
    "Namespace",
    "SimpleNamespace",
    "replace",
    "dict",
    "update",
    "set_defaults",
    "print",
}
_OF_THE_PARSER = ("help", "dest", "required", "metavar")


class Collector:
    """Reads the facts out of a program. Raises TooComplex."""

    def __init__(self, values: Values) -> None:
        self.of, self.program = values, values.program
        program = values.program
        self.facts = Facts()
        self._reaching = Reaching(program)
        self._callees: set[int] = set()
        for call in program.calls:
            self._call(call)
        for found in self._elsewhere():
            self._add(*found)
        self._draws_and_uses()

    def _elsewhere(self) -> Iterator[Handed]:
        """What is no call of a seeding function."""
        program, values = self.program, self.of
        yield from handed_on(program, values, self._callees)
        yield from stores(program, values)
        yield from variables(program, values)
        yield from computed_names(program, values)
        yield from interceptors(program)
        yield from undone(program, values)
        yield from own_generators(program, values)

    def _draws_and_uses(self) -> None:
        program, values, facts = self.program, self.of, self.facts
        facts.draws = global_draws(program, values)
        facts.bare_generators = bare_generators(program, values)
        facts.draws_before_seed = draws_before_seed(program, values)
        for name, seen in burned(program, values):
            self._add(Kind.BURN, name, (), seen)  # its numbers do not count: it may have been there before
        names = tainted_names(program)
        for text, seen in dict(mixed(program, values, names)).items():
            self._add(Kind.MIXED, "a name or a condition", (constant(text),), seen)
        for use in uses(program, values, names):
            self._add(Kind.USE, f"--seed in {use.where}", (constant(use.value),), use.seen, use.certain)

    def _add(
        self, kind: Kind, what: str, values: tuple[Value, ...], seen: Seen, certain: bool = True
    ) -> None:
        sink = Sink(kind, what, repr(values), self._reaching.of(seen), certain)
        self.facts.add(sink, values, getattr(seen.node, "lineno", 0))

    def _call(self, call: Seen) -> None:
        node = call.node
        assert isinstance(node, ast.Call)
        name = last_name(node.func)
        if name in ("add_argument", "parse_args", "parse_known_args"):
            self._parser(call, node, name)
        found = self._callee(call, node, name)
        for what in found:
            self._callees.add(id(node.func))
            self._add(_kind(what.rpartition(".")[2]), what, self._arguments(call, node), call)
        if not found and name not in _NO_GENERATOR and not self.program.is_own_class(node.func, call.scope):
            self._keywords(call, node, name)

    def _callee(self, call: Seen, node: ast.Call, name: str) -> list[str]:
        """Canonical names of the sinks that a call may reach."""
        paths = self.of.dotted(node.func, call.scope)
        if isinstance(node.func, ast.Subscript):  # vars(torch)["manual_seed"]
            paths = tuple(dotted_paths(self.of.of(node.func, call.scope)))
        found = sorted({_SAME_PLACE.get(path, path) for path in paths})
        sinks = [path for path in found if _is_sink(path)]
        if not sinks and isinstance(node.func, ast.Attribute) and name in SINKS:
            sinks = [f"*.{name}"] if is_generator_call(node, call.scope, self.of) else []
        return sinks

    def _keywords(self, call: Seen, node: ast.Call, name: str) -> None:
        """A seed for something that makes a generator: `random_state=`, `seed=`, `data_seed=`."""
        if self.program.is_own(node.func, call.scope):
            return
        self.facts.callees[name] += 1
        for keyword in node.keywords:
            if is_seed_keyword(keyword.arg) or takes_a_seed(keyword.arg):
                value = self.of.of(keyword.value, call.scope)
                if is_seed_keyword(keyword.arg) or _is_number(value):
                    self._add(Kind.MAKER, f"{name}.{keyword.arg}", (value,), call)

    def _arguments(self, call: Seen, node: ast.Call) -> tuple[Value, ...]:
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return tuple(self.of.of(part, call.scope) for part in parts)

    def _parser(self, call: Seen, node: ast.Call, name: str) -> None:
        if name != "add_argument":
            if node.args or node.keywords:
                self._add(Kind.ARGUMENT, "parse_args", self._arguments(call, node), call)
        elif any(seen is call and option == SEED_OPTION for option, _, seen in self.program.option_calls):
            given = tuple(
                Keyword(str(keyword.arg), self.of.of(keyword.value, call.scope))
                for keyword in sorted(node.keywords, key=lambda keyword: str(keyword.arg))
                if keyword.arg not in _OF_THE_PARSER
            )
            self._add(Kind.ARGUMENT, SEED_OPTION, given, call)


def _is_number(value: Value) -> bool:
    """Whether it is a number, fixed or of the harness's seed. A generator is seen where it is made."""
    if isinstance(value, Constant):
        return isinstance(value.value, int)
    return value.seeded and not any(isinstance(one, Call) for one in walk(value))


def _is_sink(path: str) -> bool:
    if path.startswith("builtins."):
        return False
    return path.rpartition(".")[2] in SINKS or is_seeding_path(path)


def _kind(name: str) -> Kind:
    if name in GLOBAL:
        return Kind.GLOBAL
    if name in MAKERS or is_seeding_path(f"random.{name}") or is_seeding_path(f"language.{name}"):
        return Kind.MAKER
    if name in STREAMS:
        return Kind.STREAM
    return Kind.SWITCH if name in SWITCHES else Kind.STATE
