"""From the difference of two programs' seeding to words: what changed, and whether it is plain or doubtful.

Plain: it can only serve another seed, or go around the referee's. Doubtful: the analysis cannot follow it; a second
stream, a name worked out at run time. What is doubtful is no reason to reject: seeds are secret, fresh and salted,
so that no hard-wired luck repeats; it is marked, and trials must show that the program follows its seeds.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from guards.seeding.facts import Facts, Kind, Reach, Sink
from guards.source.seed_names import READS
from guards.source.value import (
    HARNESS,
    Call,
    Compound,
    Constant,
    Counting,
    Each,
    Free,
    Option,
    Unknown,
    Value,
    any_ends_in,
    differing_constants,
    fixed_beside_the_seed,
    is_fixed,
    last_of,
    walk,
    without,
)

_SELECTING = {
    "min", "max", "argmin", "argmax", "sorted", "nlargest", "nsmallest", "topk", "argsort", "choice",
}  # fmt: skip
_HASHING = {
    "hash", "md5", "sha1", "sha256", "sha512", "blake2b", "crc32", "adler32", "from_bytes", "hexdigest",
}  # fmt: skip
_CLOCKS = {
    "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "getpid",
    "urandom", "randbits", "uuid4", "uuid1", "id", "now", "getrandom",
}  # fmt: skip
_DRAWING = {
    "integers", "randint", "random", "randrange", "getrandbits", "rand", "randn", "randperm", "permutation",
    "initial_seed", "spawn", "generate_state", "random_raw",
}  # fmt: skip
_BY_KIND = {
    Kind.ARGUMENT: ("argument", "is read in another way than before"),
    Kind.SWITCH: ("determinism", "is a determinism switch"),
    Kind.MENTION: ("indirect", "is handed on instead of being called"),
    Kind.BURN: ("burned", "draws random numbers that nobody uses, which moves every later one"),
    Kind.MIXED: ("ignored", "does not always get the harness's seed"),
    Kind.USE: ("used", "makes something else depend on the harness's seed"),
    Kind.REFLECTION: ("dynamic", "reaches for a name that is worked out at run time"),
    Kind.UNDO: ("undone", "goes around the seeding that the referee sees"),
    Kind.OWN: ("own_generator", "looks like a random number generator of its own"),
}
_FIRST_WORDS = 8  # of a SeedSequence
_MOST_STREAMS = 64  # that an honest program takes out of one generator
SEEDING = (Kind.GLOBAL, Kind.MAKER)


@dataclass(frozen=True, slots=True)
class Objection:
    """One change of seeding. line: in the candidate, 0 for what is gone. plain: a reason to reject."""

    case: str
    message: str
    line: int = 0
    plain: bool = True


def objections(before: Facts, after: Facts) -> Iterator[Objection]:
    """Every change of seeding that is more than tidying up."""
    change = _Change(before, after)
    for sink, count in change.new.items():
        if not all(change.is_allowed_addition(sink) for _ in range(count)):
            yield change.about_new(sink)
    for sink in change.gone:
        if (found := change.about_gone(sink)) is not None:
            yield found
    yield from _unseeded(before, after)


def _unseeded(before: Facts, after: Facts) -> Iterator[Objection]:
    """Random numbers that the harness's seed does not rule any more."""
    for family in ("random", "numpy.random"):
        if after.draws[family] and not before.draws[family] and not after.count(f"{family}.seed"):
            was_seeded = before.count(f"{family}.seed") > 0
            message = f"draws from {family}'s hidden generator, which nobody seeds"
            yield Objection("unseeded", message, plain=was_seeded)
    if after.bare_generators > before.bare_generators:
        yield Objection("unseeded", "makes a torch.Generator without giving it the harness's seed")
    if after.draws_before_seed and not before.draws_before_seed and _is_reached(after, "torch.manual_seed"):
        yield Objection("late", "torch.manual_seed comes after the first random weights")


class _Change:
    """What is new and what is gone, and what is known of both programs."""

    def __init__(self, before: Facts, after: Facts) -> None:
        self.before, self.after = before, after
        self.new, self.gone = after.sinks - before.sinks, before.sinks - after.sinks
        self.grew = after.generators > before.generators
        self.looped_before = any(sink.kind in SEEDING and sink.reach is Reach.LOOPED for sink in before.sinks)
        self.known = _fixed_beside_the_seed(before)
        values = (before.values[sink] for sink in before.sinks if sink.kind in SEEDING)
        self.without_option = not any(map(_is_seeded, values))
        used = (self.old_values(sink) for sink in before.sinks if sink.kind in SEEDING)
        self.plain_values = {repr((HARNESS,))} | {repr(values) for values in used if not _from_a_loop(values)}

    # A function that the incumbent calls with the seed and, to warm up, with a constant: that is no fact about a
    # change, nor is it that it is called more than once.

    def old_values(self, sink: Sink) -> tuple[Value, ...]:
        """What reaches a sink of the incumbent, but for constants that stood beside the seed."""
        return tuple(without(value, self.known) for value in self.before.values[sink])

    def new_values(self, sink: Sink) -> tuple[Value, ...]:
        """The same of the candidate; constants that stood beside the seed before."""
        return tuple(without(value, self.known) for value in self.after.values[sink])

    def is_looped(self, sink: Sink) -> bool:
        """Whether a place is reached more than once, which those of the incumbent were not."""
        return sink.reach is Reach.LOOPED and not self.looped_before

    # what may come and go without a word

    def is_allowed_addition(self, sink: Sink) -> bool:
        """One more generator with the harness's seed as it is; one more library seeded, once.

        A program that knows no --seed has constants in its place, which the referee salts.
        """
        values = self.new_values(sink)
        if sink.reach is Reach.DEAD and any(
            other.what == sink.what and self.old_values(other) == values and not _is_seeded(values)
            for other in self.gone
        ):
            return True  # a rehearsal, seeded with a constant, that nobody calls any more
        if repr(values) not in self.plain_values or self.is_looped(sink) or sink.reach is Reach.DEAD:
            return False
        if not (_is_seeded(values) or self.without_option):
            return False
        if sink.kind is Kind.MAKER or sink.what.startswith("*."):
            return True
        if (
            sink.kind is not Kind.GLOBAL
            or self.after.count(sink.what) > 1
            or self.before.count(sink.what) > 0
        ):
            return False
        return sink.reach is Reach.ALWAYS or sink.what.startswith("torch.cuda.")

    def about_gone(self, sink: Sink) -> Objection | None:
        """What is gone, if that matters: a generator may go as long as the seed still rules the rest."""
        if sink.kind not in (*SEEDING, Kind.ARGUMENT, Kind.SWITCH):
            return None
        if self._is_replaced(sink):
            return None  # said about what came in its place
        message = f"{_shown(sink)} is no longer there as it was"
        if sink.kind is Kind.SWITCH:
            return Objection("determinism", message, plain=False)
        if sink.kind is Kind.ARGUMENT or self._is_missed(sink):
            return Objection("removed", message)
        return None if self._seed_is_used() else Objection("removed", message, plain=False)

    def _is_replaced(self, sink: Sink) -> bool:
        return any(other.what == sink.what and other.kind is sink.kind for other in self.new)

    def _is_missed(self, sink: Sink) -> bool:
        """Whether something still draws that this call had seeded."""
        if sink.what.startswith("torch.cuda."):
            return self.after.count("torch.manual_seed") == 0
        if sink.what in ("numpy.random.seed", "random.seed"):
            return bool(self.after.draws.get(sink.what.rpartition(".")[0]))
        if "." in sink.what and sink.kind is Kind.MAKER and not sink.what.startswith("*."):
            callee = sink.what.split(".")[0]
            if self.before.callees[callee]:  # a keyword's: the same thing is still made, without a seed
                return self.after.callees[callee] >= self.before.callees[callee]
        return sink.kind is Kind.GLOBAL and not sink.what.startswith("*.")

    def _seed_is_used(self) -> bool:
        kept = (sink for sink in self.after.sinks if sink.kind in SEEDING and sink.reach is not Reach.DEAD)
        return any(value.seeded for sink in kept for value in self.after.values[sink])

    # what is new

    def about_new(self, sink: Sink) -> Objection:
        line, values = self.after.lines[sink], self.new_values(sink)
        case, words, plain = self._case(sink, values)
        return Objection(case, f"{_shown(sink)} {words}".replace(" : ", ": "), line, plain)

    def _case(self, sink: Sink, values: tuple[Value, ...]) -> tuple[str, str, bool]:
        if sink.kind in SEEDING:
            return self._case_of_seeding(sink, values)
        if sink.kind is Kind.STREAM:
            return "state", "takes another stream out of a generator", self._is_plain_stream(sink, values)
        if sink.kind is Kind.STATE:
            return "state", "reads or sets a generator's state", self._is_plain_state(sink, values)
        case, words = _BY_KIND[sink.kind]
        return case, words, sink.certain and sink.kind is not Kind.SWITCH

    def _is_plain_stream(self, sink: Sink, values: tuple[Value, ...]) -> bool:
        """A jump in place, or one of so many streams that there is a choice."""
        if sink.what.rpartition(".")[2] == "spawn":
            counts = [value.value for value in values if isinstance(value, Constant)]
            return any(isinstance(count, int) and count > _MOST_STREAMS for count in counts)
        return not self.grew and sink.reach is not Reach.LOOPED

    def _is_plain_state(self, sink: Sink, values: tuple[Value, ...]) -> bool:
        """Anything but putting a state aside and back."""
        name = sink.what.rpartition(".")[2]
        if name in READS or (name == "initial_seed" and sink.reach is Reach.WORKER):
            return False
        if name in ("initial_seed", "generate_state") and self._only_seeds(name):
            return False
        from_state = any(any_ends_in(value, lambda one: one in READS) for value in values)
        return not (name in _WRITING and from_state)

    def _only_seeds(self, name: str) -> bool:
        """Whether all that functions of this name give goes into seeding calls."""
        seeding = (sink for sink in self.after.sinks.elements() if sink.kind in SEEDING)
        used = [one for sink in seeding for value in self.after.values[sink] for one in walk(value)]
        calls = sum(isinstance(one, Call) and last_of(one.called) == name for one in used)
        read = sum(n for sink, n in self.after.sinks.items() if sink.what.rpartition(".")[2] == name)
        return calls >= read

    def _case_of_seeding(self, sink: Sink, values: tuple[Value, ...]) -> tuple[str, str, bool]:
        if sink.reach is Reach.DEAD:
            return "removed", "is never reached", True
        if found := self._other_numbers(sink, values):
            return "literal", found, not self._is_second_stream(sink, values)
        for names, case, words in _FORBIDDEN:
            if any(any_ends_in(value, names.__contains__) for value in values):
                return case, words, case != "hashed" or not self._is_second_stream(sink, values)
        if sink.reach is Reach.WORKER:
            plain = all(map(is_fixed, values)) and not any(map(_is_drawn, values))
            return "worker", "seeds the workers of a data loader", plain
        if self.is_looped(sink) or _from_a_loop(values) or _counts_on(values):
            seeded = any(value.seeded for value in values) and sink.kind is Kind.MAKER
            return "loop", "is reached more than once, or with a seed from a loop", not seeded
        if not any(value.seeded for value in values):
            return self._case_without_seed(sink, values)
        return self._case_with_seed(sink, values)

    def _other_numbers(self, sink: Sink, values: tuple[Value, ...]) -> str:
        """In words, the constants that took the place of others; "" where more or nothing differs."""
        for other in self.gone:
            olds = self.old_values(other)
            if other.what != sink.what or len(olds) != len(values):
                continue
            pairs = [
                pair for old, new in zip(olds, values, strict=True) for pair in differing_constants(old, new)
            ]
            if pairs:
                return f": the seed {', '.join(f'{old} became {new}' for old, new in pairs)}"
        return ""

    def _case_without_seed(self, sink: Sink, values: tuple[Value, ...]) -> tuple[str, str, bool]:
        if not values or all(value == Constant("NoneType", None) for value in values):
            is_global = sink.kind is Kind.GLOBAL and not sink.what.startswith("*.")
            return "unseeded", "does not get the harness's seed", is_global or self._is_in_place(sink)
        fixed = all(map(is_fixed, values)) and not any(map(_is_drawn, values))
        words = f"gets {_text(values)} instead of the harness's seed"
        if fixed and self._had_constants() and not self._was_seeded(sink):
            return "literal", f"gets the seed {_text(values)}", True
        return "ignored", words, fixed or self._is_in_place(sink)

    def _case_with_seed(self, sink: Sink, values: tuple[Value, ...]) -> tuple[str, str, bool]:
        if len(values) == 1 and values[0] == HARNESS and not self._drops_a_number(sink):
            if sink.reach not in (Reach.ALWAYS, Reach.LOOPED):
                return "conditional", "is not always reached", True
            return "repeated", "seeds again what was seeded before", True
        if any(True for value in values for _ in fixed_beside_the_seed(value)):
            return "ignored", "does not always get the harness's seed", True
        words = "gets a number that is worked out from the harness's seed, not the seed itself"
        followed = self._is_second_stream(sink, values) or self._drops_a_number(sink)
        return (
            "shifted",
            words,
            not (followed or self._stays_mixed(sink, values) or self._is_spread(sink, values)),
        )

    def _is_spread(self, sink: Sink, values: tuple[Value, ...]) -> bool:
        """Whether one of the first words of a SeedSequence of the seed stands for it, with no number of one's own."""
        if not any(
            isinstance(one, Call) and last_of(one.called) == "generate_state"
            for v in values
            for one in walk(v)
        ):
            return False
        olds = [self.old_values(other) for other in self.gone if other.what == sink.what]
        known = {repr(one) for old in olds for value in old for one in walk(value)}
        fresh = [
            one
            for value in values
            for one in walk(value)
            if isinstance(one, Constant) and repr(one) not in known
        ]
        return all(isinstance(one.value, int) and 0 <= one.value < _FIRST_WORDS for one in fresh)

    def _was_seeded(self, sink: Sink) -> bool:
        return any(
            other.what == sink.what and any(value.seeded for value in self.before.values[other])
            for other in self.before.sinks
        )

    def _had_constants(self) -> bool:
        """Whether the incumbent seeds something with constants alone."""
        return any(
            all(isinstance(value, Constant) for value in self.before.values[sink])
            for sink in self.before.sinks
            if sink.kind in SEEDING and self.before.values[sink]
        )

    def _is_in_place(self, sink: Sink) -> bool:
        """Whether a call takes the place of one that got the seed, with no generator more than before."""
        replaced = any(other.what == sink.what and other.kind is sink.kind for other in self.gone)
        return replaced and ((sink.kind is Kind.GLOBAL and not sink.what.startswith("*.")) or not self.grew)

    def _is_second_stream(self, sink: Sink, values: tuple[Value, ...]) -> bool:
        """A further generator with a number of its own beside the seed."""
        return any(value.seeded for value in values) and not self._is_in_place(sink)

    def _stays_mixed(self, sink: Sink, values: tuple[Value, ...]) -> bool:
        """Whether the seed stood beside something that is no constant (a round, a place), and still does."""
        return _is_mixed(values) and any(
            other.what == sink.what and _is_seeded(olds) and _is_mixed(olds)
            for other in self.gone
            for olds in [self.old_values(other)]
        )

    def _drops_a_number(self, sink: Sink) -> bool:
        """Whether the seed was mixed with constants before, and with fewer now."""
        now = _constants(self.new_values(sink))
        return any(
            other.what == sink.what and now < _constants(self.old_values(other))
            for other in self.gone
            if any(value.seeded for value in self.before.values[other])
        )


_WRITING = {"set_rng_state", "set_rng_state_all", "setstate", "set_state", "graphsafe_set_state"}
_FORBIDDEN: tuple[tuple[set[str], str, str], ...] = (
    (_SELECTING, "selected", "gets a seed that was picked among several"),
    (_HASHING, "hashed", "gets a hash as its seed"),
    (_CLOCKS, "unseeded", "does not get the harness's seed"),
)


def _is_reached(facts: Facts, what: str) -> bool:
    return any(sink.what == what and sink.reach is not Reach.DEAD for sink in facts.sinks)


def _fixed_beside_the_seed(facts: Facts) -> frozenset[Value]:
    """Constants that a program gives to its seeding calls at times, and the harness's seed at others."""
    values = (value for sink in facts.sinks if sink.kind in SEEDING for value in facts.values[sink])
    return frozenset(one for value in values for one in fixed_beside_the_seed(value))


def _is_seeded(values: tuple[Value, ...]) -> bool:
    return any(value.seeded for value in values)


def _is_mixed(values: tuple[Value, ...]) -> bool:
    """Whether an operation joins the seed with something that is no constant: an option, what it is told, ..."""
    joined = (one for value in values for one in walk(value) if isinstance(one, Compound) and one.seeded)
    return any(not part.seeded and _is_open(part) for one in joined for part in one.of)


def _is_open(value: Value) -> bool:
    return any(isinstance(one, Free | Option | Unknown) for one in walk(value))


def _from_a_loop(values: tuple[Value, ...]) -> bool:
    return any(isinstance(one, Each) for value in values for one in walk(value))


def _counts_on(values: tuple[Value, ...]) -> bool:
    """Whether a number that grows from itself (an epoch) stands beside the harness's seed."""
    counts = any(isinstance(one, Counting) for value in values for one in walk(value))
    return counts and _is_seeded(values) and not any(True for v in values for _ in fixed_beside_the_seed(v))


def _is_drawn(value: Value) -> bool:
    """Whether a value comes out of a generator or a sequence of seeds."""
    return any(isinstance(one, Call) and last_of(one.called) in _DRAWING for one in walk(value))


def _constants(values: tuple[Value, ...]) -> Counter[str]:
    return Counter(repr(one) for value in values for one in walk(value) if isinstance(one, Constant))


def _shown(sink: Sink) -> str:
    return sink.what.removeprefix("*.")


def _text(values: tuple[Value, ...]) -> str:
    shown = [str(value.value) if isinstance(value, Constant) else "something else" for value in values]
    return ", ".join(shown) or "nothing"
