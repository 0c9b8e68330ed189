"""Random numbers that are drawn: for nothing (the stream moves on as if by another seed), or before any seed."""

import ast
from collections import Counter
from collections.abc import Iterator

from guards.seeding.receivers import is_other_object, is_random
from guards.source.index import Binding, Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import alternatives
from guards.source.values import Values

_TORCH = {
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "poisson",
}  # fmt: skip
_METHODS = {
    "random", "standard_normal", "integers", "permutation", "permuted", "choice", "uniform", "bytes", "getrandbits",
    "randint", "randrange", "sample", "gauss", "random_sample", "random_raw", "normalvariate", "choices", "randbytes",
    "exponential", "shuffle", "random_integers",
}  # fmt: skip
_IN_PLACE = {
    "normal_", "uniform_", "random_", "bernoulli_", "exponential_", "cauchy_", "geometric_", "log_normal_",
    "trunc_normal_", "xavier_normal_", "xavier_uniform_", "kaiming_normal_", "kaiming_uniform_", "orthogonal_",
    "sparse_", "shuffle",
}  # fmt: skip
_LAYERS = {
    "Linear", "LazyLinear", "Bilinear", "Embedding", "EmbeddingBag", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
    "ConvTranspose2d", "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "MultiheadAttention", "Transformer",
    "TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder", "TransformerDecoder",
}  # fmt: skip
_FRESH = {
    "empty",
    "zeros",
    "ones",
    "full",
    "empty_like",
    "zeros_like",
    "list",
    "range",
    "arange",
    "new_empty",
}
_LASTING = {
    "backward", "step", "write", "append", "copy_", "add_", "mul_", "zero_grad", "extend", "update", "save_file",
    "load_state_dict", "put", "set_", "lerp_", "fill_", "clip_grad_norm_",
}  # fmt: skip
_PASSED_ON = {
    "print",
    "repr",
    "str",
    "float",
    "int",
    "bool",
    "list",
    "tuple",
    "len",
    "sum",
    "next",
    "any",
    "all",
}


def global_draws(program: SourceProgram, values: Values) -> Counter[str]:
    """How often the hidden generators of `random` and `numpy.random` are used."""
    found: Counter[str] = Counter()
    for call in program.calls:
        assert isinstance(call.node, ast.Call)
        for path in values.dotted(call.node.func, call.scope):
            family, _, name = path.rpartition(".")
            if (
                family in ("random", "numpy.random")
                and name[:1].islower()
                and name not in ("default_rng", "seed")
            ):
                found[family] += 1
    return found


def bare_generators(program: SourceProgram, values: Values) -> int:
    """torch.Generator objects beyond those that are given a seed: torch gives them a constant one."""
    made = seeded = 0
    for call in program.calls:
        assert isinstance(call.node, ast.Call)
        found = values.dotted(call.node.func, call.scope)
        made += any(path in ("torch.Generator", "torch._C.Generator") for path in found)
        seeded += last_name(call.node.func) == "manual_seed" and not any(
            path.startswith("torch.") for path in found
        )
    return max(0, made - seeded)


def burned(program: SourceProgram, values: Values) -> Iterator[tuple[str, Seen]]:
    """Draws whose result nobody takes."""
    for index in program.indexes.values():
        for seen in index.discards:
            if name := _draw(seen.node, seen.scope, program, values):
                yield name, seen
        yield from _unused(index, program, values)
        yield from _repeated(index, program, values)


def _unused(index: Index, program: SourceProgram, values: Values) -> Iterator[tuple[str, Seen]]:
    """Draws into names that nobody reads."""
    read = {
        (id(home), leaf.node.id)
        for leaf in index.leaves
        if isinstance(leaf.node, ast.Name) and (home := leaf.scope.find(leaf.node.id)) is not None
    }
    for seen in index.assigned:
        assert isinstance(seen.node, ast.Assign)
        names = [target.id for target in seen.node.targets if isinstance(target, ast.Name)]
        unread = not any((id(seen.scope.find(name)), name) in read for name in names)
        if not unread or len(names) != len(seen.node.targets) or _exported(names, seen.scope):
            continue
        if name := _draw(seen.node.value, seen.scope, program, values):
            yield name, Seen(seen.node.value, seen.scope, seen.place, seen.node)


def _repeated(index: Index, program: SourceProgram, values: Values) -> Iterator[tuple[str, Seen]]:
    """The same call of a drawing function as a statement once more: weights that are made twice."""
    known = set[tuple[int, str]]()
    for seen in index.discards:
        if not isinstance(seen.node, ast.Call):
            continue
        functions = _entered(seen.node, seen.scope, program)
        if not functions or not any(_draws_inside(one, program, values) for one in functions):
            continue
        key = (id(seen.scope), ast.dump(seen.node))
        if key in known:
            yield last_name(seen.node.func), seen
        known.add(key)


def _entered(node: ast.Call, scope: NameScope, program: SourceProgram) -> list[NameScope]:
    """The program's own functions that a call may enter."""
    return program.entered(node.func, scope)


def _draws_inside(function: NameScope, program: SourceProgram, values: Values) -> bool:
    """Whether the body of a function draws, without regard to what it calls of the program's own."""
    return any(_draws(call, program, values) for call in program.calls if call.scope is function)


def _draws(call: Seen, program: SourceProgram, values: Values) -> bool:
    assert isinstance(call.node, ast.Call)
    name, found = last_name(call.node.func), values.dotted(call.node.func, call.scope)
    if any(_is_draw(path) for path in found):
        return True
    return name in _METHODS | _IN_PLACE and not program.entered(call.node.func, call.scope)


def _only_gives(function: NameScope, program: SourceProgram) -> bool:
    """Whether a function is there for its result: it returns one and does nothing that lasts."""
    calls = [call.node for call in program.calls if call.scope is function]
    names = {last_name(call.func) for call in calls if isinstance(call, ast.Call)}
    return bool(function.returns) and not names & _LASTING


def _exported(names: list[str], scope: NameScope) -> bool:
    return scope.kind == "class" and bool(names)


def _draw(node: ast.AST, scope: NameScope, program: SourceProgram, values: Values) -> str:
    """The draw that an expression comes down to, "" when something else takes the result."""
    parts: list[ast.expr] = []
    match node:
        case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            parts = [value]
        case ast.Await(value=value):
            parts = [value]
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            parts = elements
        case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
            return _draw(element, program.scope_of(node) or scope, program, values)
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
        case ast.Compare(left=left):
            parts = [left]
        case ast.Call():
            return _drawing_call(node, scope, program, values)
    return next(filter(None, (_draw(part, scope, program, values) for part in parts)), "")


def _drawing_call(node: ast.Call, scope: NameScope, program: SourceProgram, values: Values) -> str:
    name, found = last_name(node.func), values.dotted(node.func, scope)
    if draws := [path for path in found if _is_draw(path)]:
        return draws[0] if name != "shuffle" or _fresh(node.args[:1]) else ""
    if any(path.startswith("torch.nn.init.") for path in found):
        return name if name in _IN_PLACE and _fresh(node.args[:1]) else ""
    if name in _PASSED_ON and isinstance(node.func, ast.Name):
        return next(filter(None, (_draw(part, scope, program, values) for part in node.args)), "")
    if own := _entered(node, scope, program):
        pure = all(_only_gives(one, program) and _draws_inside(one, program, values) for one in own)
        return name if pure else ""
    if not isinstance(node.func, ast.Attribute) or found:
        return ""
    return _method_draw(node, node.func, name, scope, program, values)


def _method_draw(
    node: ast.Call, function: ast.Attribute, name: str, scope: NameScope, program: SourceProgram, values: Values
) -> str:
    """A method of a generator, or one that fills a tensor in place."""
    if name in _METHODS:
        if _is_no_generator(function.value, scope, values):
            return ""
        return name if name != "shuffle" or _fresh(node.args[:1]) else ""
    if name in _IN_PLACE:
        return name if _fresh([function.value]) else ""
    return _draw(function.value, scope, program, values)


def _is_no_generator(receiver: ast.expr, scope: NameScope, values: Values) -> bool:
    """Whether an object is plainly of another kind: of a class of the program, or of a library's that draws nothing."""
    found = values.of(receiver, scope)
    return not is_random(found) and all(is_other_object(one) for one in alternatives(found))


def _is_draw(path: str) -> bool:
    family, _, name = path.rpartition(".")
    if family in ("random", "numpy.random"):
        return name[:1].islower() and name not in ("seed", "default_rng")
    return (family == "torch" and name in _TORCH) or (family.startswith("torch.nn") and name in _LAYERS)


def _fresh(nodes: list[ast.expr]) -> bool:
    """Whether what is filled was made on the spot, so that nobody else has it."""
    return any(isinstance(one, ast.List | ast.ListComp | ast.BinOp) or _makes(one) for one in nodes)


def _makes(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) in _FRESH


def draws_before_seed(program: SourceProgram, values: Values) -> bool:
    """Whether torch draws (weights are made) before its first seeding, in the order of execution as it reads."""
    order = _Order(program, values)
    for index in program.indexes.values():
        if (first := order.first(index.module, 0)) is not None:
            return first == "draw"
    return False


class _Order:
    """Follows calls in the order in which they are written, into the program's own functions."""

    def __init__(self, program: SourceProgram, values: Values) -> None:
        self.program, self.values = program, values
        self.calls: dict[int, list[Seen]] = {}
        for call in program.calls:
            holder = call.scope
            while holder.kind == "comprehension" and holder.parent is not None:
                holder = holder.parent
            self.calls.setdefault(id(holder), []).append(call)
        self.known: dict[int, str | None] = {}

    def first(self, scope: NameScope, depth: int) -> str | None:
        """ "seed", "draw" or None: what a scope does first to torch's generator."""
        if id(scope) in self.known or depth > 12:
            return self.known.get(id(scope))
        self.known[id(scope)] = None
        for call in self.calls.get(id(scope), ()):
            if (event := self._event(call, depth)) is not None:
                self.known[id(scope)] = event
                return event
        return None

    def _event(self, call: Seen, depth: int) -> str | None:
        assert isinstance(call.node, ast.Call)
        if call.place.dead:
            return None
        if found := self.values.dotted(call.node.func, call.scope):
            return next(filter(None, map(_torch_event, found)), None)
        inside = self._inside(call.node.func, call.scope, last_name(call.node.func))
        return next((event for one in inside if (event := self.first(one, depth + 1))), None)

    def _inside(self, function: ast.expr, scope: NameScope, name: str) -> list[NameScope]:
        """The program's own functions that a call enters: by name, a class by its __init__."""
        if isinstance(function, ast.Attribute):
            return [one for one in self.program.methods(name) if self.program.reaches(function, scope, one)]
        home = scope.find(name)
        bindings = home.bindings[name] if home is not None else ()
        return [one for binding in bindings for one in self._behind(binding, name)]

    def _behind(self, binding: Binding, name: str) -> list[NameScope]:
        if binding.how == "expression" and isinstance(binding.node, ast.Name) and binding.node.id != name:
            return self._inside(binding.node, binding.scope, binding.node.id)
        if binding.how == "function":
            return [binding.scope]
        if binding.how == "class" and "__init__" in binding.scope.bindings:
            return [one.scope for one in binding.scope.bindings["__init__"] if one.how == "function"]
        return []


def _torch_event(path: str) -> str:
    """ "seed", "draw" or "": what a function of torch does to its generator."""
    family, _, name = path.rpartition(".")
    if path.startswith("torch.") and name == "manual_seed":
        return "seed"
    is_filling = family == "torch.nn.init" and name in _IN_PLACE
    return "draw" if is_filling or (_is_draw(path) and path.startswith("torch")) else ""
