"""What is found out about seeding in one program."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from guards.source.value import Value


class Kind(StrEnum):
    """What a place does to generators."""

    GLOBAL = "global"  # seeds a library's own generator
    MAKER = "maker"  # makes a generator, or gives a seed to something that makes one
    STATE = "state"  # reads or sets a generator's state
    STREAM = "stream"  # gets a second stream out of a generator
    SWITCH = "switch"  # determinism
    ARGUMENT = "argument"  # how --seed is read
    MENTION = "mention"  # a seeding function that is handed on instead of being called
    BURN = "burn"  # draws for nothing
    MIXED = "mixed"  # holds the harness's seed at times and a constant at others, by what stands at that place
    USE = "use"  # something else depends on the harness's seed
    REFLECTION = "reflection"  # a name that is worked out at run time
    UNDO = "undo"  # goes around what the referee does to seeds
    OWN = "own"  # a generator of the program's own


class Reach(StrEnum):
    """How often a place is reached when the program is executed once, as far as its shape tells."""

    ALWAYS = "always"
    CONDITIONAL = "conditional"
    LOOPED = "looped"
    WORKER = "worker"  # once in each worker of a data loader
    DEAD = "dead"


_PARTS = {
    "SeedSequence",
    "PCG64",
    "PCG64DXSM",
    "MT19937",
    "Philox",
    "SFC64",
    "BitGenerator",
    "check_random_state",
}
"""What a generator is made of, but no generator yet."""


@dataclass(frozen=True, slots=True)
class Sink:
    """what: canonical callee ("torch.manual_seed", "*.manual_seed" for an object's, "SGD.random_state" for a
    keyword's). value: repr of its arguments. certain: whether what it does is plain to see; else the analysis
    cannot follow."""

    kind: Kind
    what: str
    value: str
    reach: Reach
    certain: bool = True


@dataclass(slots=True)
class Facts:
    """All that bears on seeding in one program. values: the values behind each sink, for the explanation."""

    sinks: Counter[Sink] = field(default_factory=Counter)
    values: dict[Sink, tuple[Value, ...]] = field(default_factory=dict)
    lines: dict[Sink, int] = field(default_factory=dict)
    draws: Counter[str] = field(default_factory=Counter)  # from hidden generators, by library
    callees: Counter[str] = field(
        default_factory=Counter
    )  # calls of what is not the program's own, by last name
    bare_generators: int = 0
    draws_before_seed: bool = False

    def add(self, sink: Sink, values: tuple[Value, ...], line: int) -> None:
        self.sinks[sink] += 1
        self.values[sink] = values
        self.lines.setdefault(sink, line)

    def count(self, what: str) -> int:
        """How many sinks there are of a name."""
        return sum(count for sink, count in self.sinks.items() if sink.what == what)

    @property
    def generators(self) -> int:
        """How many generators the program makes or seeds; one in a loop stands for two."""
        kinds = (Kind.GLOBAL, Kind.MAKER)
        made = [
            (sink, count)
            for sink, count in self.sinks.items()
            if sink.kind in kinds and sink.what.rpartition(".")[2] not in _PARTS
        ]
        return sum((2 if sink.reach is Reach.LOOPED else 1) * count for sink, count in made)
