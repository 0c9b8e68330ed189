"""A campaign: traces against one protocol within a budget of calls; what is found is shrunk, explained and repaired.

A trace is a list of at most 30 operations, each a list [name, argument, ...] as protocol.OPERATIONS says. A grant or
a hold is named by the position in the trace of the operation that made it; an operation that names something that
was not made is refused. Every operation costs one call.
"""

import itertools
from collections.abc import Callable, Iterable

from checker import Checker
from protocol import OPERATIONS, SETS, VALUES, Protocol, Rejected

MOST_OPERATIONS = 30  # in a trace
MOST_TRACES = 20  # in an answer
LARGEST_NUMBER = 1000
NAMES = tuple(OPERATIONS)
THINGS = {makes for _, makes in OPERATIONS.values() if makes}  # kinds that are named by position: grant, hold

Trace = list[list]
Violations = list[tuple[int, str]]
"""(position in the trace, invariant)"""


def variant(defects: Iterable[type]) -> type[Protocol]:
    """The protocol with these defects."""
    return type("Variant", (*sorted(defects, key=lambda defect: defect.__name__), Protocol), {})


def execute(trace: Trace, kind: type[Protocol]) -> tuple[list[bool], Violations]:
    """Which operations were accepted, and which invariants were broken where."""
    protocol, checker = kind(), Checker()
    accepted, violations = [], []
    made: dict[tuple[str, int], int] = {}
    for position, (name, *arguments) in enumerate(trace):
        try:
            numbered = [
                made[argument, value] if argument in THINGS else value
                for argument, value in zip(OPERATIONS[name][0], arguments, strict=True)
            ]
            result = getattr(protocol, name)(*numbered)
        except (Rejected, KeyError):
            accepted.append(False)
            continue
        accepted.append(True)
        if result is not None:
            made[OPERATIONS[name][1], position] = result
        violations += [(position, invariant) for invariant in sorted(checker.saw(name, numbered))]
    return accepted, violations


def without(trace: Trace, gone: int) -> Trace | None:
    """The trace less one operation, with the names moved up; None when a later operation needs it."""
    shorter = []
    for position, (name, *arguments) in enumerate(trace):
        if position == gone:
            continue
        moved = []
        for argument, value in zip(OPERATIONS[name][0], arguments, strict=True):
            if argument in THINGS:
                if value == gone:
                    return None
                value -= value > gone
            moved.append(value)
        shorter.append([name, *moved])
    return shorter


def shrunk(trace: Trace, fails: Callable[[Trace], bool]) -> Trace:
    """A trace from which no single operation can be taken without losing the failure."""
    position = len(trace) - 1
    while position >= 0:
        shorter = without(trace, position)
        if shorter is not None and fails(shorter):
            trace = shorter
            position = len(trace)
        position -= 1
    return trace


def cause(trace: Trace, defects: Iterable[type], invariant: str) -> frozenset[type]:
    """The smallest set of defects with which the trace breaks the invariant; empty if none of up to three does."""
    defects = sorted(defects, key=lambda defect: defect.__name__)

    def breaks(chosen: Iterable[type]) -> bool:
        return any(found == invariant for _, found in execute(trace, variant(chosen))[1])

    for defect in defects:
        if breaks([defect]):
            return frozenset([defect])
    needed = [defect for defect in defects if not breaks(other for other in defects if other is not defect)]
    for size in (2, 3):
        for chosen in itertools.combinations(needed, size):
            if breaks(chosen):
                return frozenset(chosen)
    return frozenset()


def fails_with(invariant: str, kind: type[Protocol]) -> Callable[[Trace], bool]:
    return lambda trace: any(found == invariant for _, found in execute(trace, kind)[1])


def shape(invariant: str, trace: Trace) -> tuple[str, ...]:
    """What makes two violations the same: the invariant, and the names of the operations that it takes."""
    return (invariant, *(name for name, *_ in trace))


class Campaign:
    """Attack, explain, repair, go on: a defect that was found is gone from then on.

    Without seeded defects (a protocol of your own) nothing can be repaired: violations of another shape count.
    found: (invariant, defects that explain it, shrunk trace); found_after: calls that had been made by then.
    """

    def __init__(self, defects: Iterable[type], calls: int) -> None:
        self.defects, self.calls_left = set(defects), calls
        self.seeded = bool(self.defects)
        self.kind = variant(self.defects)
        self.found: list[tuple[str, frozenset[type], Trace]] = []
        self.found_after: list[int] = []
        self.accepted = self.made = 0
        self._seen: set[tuple[str, ...]] = set()

    @property
    def over(self) -> bool:
        return self.calls_left <= 0 or (self.seeded and not self.defects)

    def run(self, traces: Iterable[Trace]) -> list[str]:
        """Per trace a character per operation: 1 accepted, 0 refused, ! an invariant was broken."""
        return [self._run(trace) for trace in traces if not self.over]

    def _run(self, trace: Trace) -> str:
        trace = trace[: self.calls_left]
        self.calls_left -= len(trace)
        accepted, violations = execute(trace, self.kind)
        self.made += len(accepted)
        self.accepted += sum(accepted)
        if violations:
            self._explain(trace[: violations[0][0] + 1], violations[0][1])
        broken = {position for position, _ in violations}
        return "".join("!" if i in broken else str(int(ok)) for i, ok in enumerate(accepted))

    def _explain(self, trace: Trace, invariant: str) -> None:
        trace = shrunk(trace, fails_with(invariant, self.kind))
        if shape(invariant, trace) in self._seen:
            return
        guilty = cause(trace, self.defects, invariant)
        if guilty:
            self.defects -= guilty
            self.kind = variant(self.defects)
        else:
            self._seen.add(shape(invariant, trace))
        if guilty or not self.seeded:
            self.found.append((invariant, guilty, trace))
            self.found_after.append(self.made)


def checked(trace: object) -> Trace:
    """The trace, if it is one; ValueError says what is wrong."""
    if not isinstance(trace, list) or not 1 <= len(trace) <= MOST_OPERATIONS:
        raise ValueError(f"a trace is a list of 1 to {MOST_OPERATIONS} operations")
    for operation in trace:
        if not isinstance(operation, list) or not operation or operation[0] not in NAMES:
            raise ValueError(f"no such operation: {str(operation)[:80]}")
        kinds = OPERATIONS[operation[0]][0]
        if len(operation) != 1 + len(kinds) or not all(map(_fits, kinds, operation[1:])):
            raise ValueError(f"{operation[0]} takes {', '.join(kinds)}, not {str(operation[1:])[:80]}")
    return trace


def _fits(kind: str, value: object) -> bool:
    if kind in SETS:
        return (
            isinstance(value, list)
            and all(word in SETS[kind] for word in value)
            and len(value) <= len(SETS[kind])
        )
    if kind in THINGS or isinstance(VALUES[kind], range):
        return type(value) is int and abs(value) <= LARGEST_NUMBER
    return isinstance(value, str) and value in VALUES[kind]
