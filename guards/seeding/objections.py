"""From the difference of two programs' seeding to words: what changed, and why it is not accepted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from guards.seeding.sinks import Facts, Sink
from guards.source.values import HARNESS, Value, alternatives, mentions

_SELECTING = {
    "min",
    "max",
    "argmin",
    "argmax",
    "sorted",
    "nlargest",
    "nsmallest",
    "topk",
    "argsort",
    "choice",
}
_HASHING = {
    "hash",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "blake2b",
    "crc32",
    "adler32",
    "from_bytes",
    "hexdigest",
}
_CLOCKS = {
    "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "getpid",
    "urandom", "randbits", "uuid4", "uuid1", "id", "now", "getrandom",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objection:
    """One change of seeding. line: in the candidate, 0 for what is gone."""

    case: str
    message: str
    line: int = 0


def objections(before: Facts, after: Facts) -> Iterator[Objection]:
    """Every change of seeding that is more than tidying up, worst first or not."""
    new, gone = after.sinks - before.sinks, before.sinks - after.sinks
    plain = _plain_values(before)
    for sink, count in new.items():
        if not all(_allowed_addition(sink, before, after, plain) for _ in range(count)):
            yield _about_new(sink, before, after, gone)
    for sink in gone:
        if not _allowed_removal(sink, after, plain):
            yield _about_gone(sink)
    yield from _unseeded(before, after)


def _unseeded(before: Facts, after: Facts) -> Iterator[Objection]:
    """Random numbers that the harness's seed does not rule any more."""
    for family in ("random", "numpy.random"):
        if after.draws[family] and not before.draws[family] and not _count(after, f"{family}.seed"):
            yield Objection("unseeded", f"draws from {family}'s hidden generator, which nobody seeds")
    if after.bare_generators > before.bare_generators:
        yield Objection("unseeded", "makes a torch.Generator without giving it the harness's seed")
    if after.draws_before_seed and not before.draws_before_seed and _is_reached(after, "torch.manual_seed"):
        yield Objection("late", "torch.manual_seed comes after the first random weights")


def _plain_values(before: Facts) -> set[str]:
    """Values that may be given to a further generator: the harness's seed, or what is used as one already."""
    used = {
        sink.value for sink in before.sinks if sink.kind in ("global", "maker") and sink.reach != "looped"
    }
    return {repr((HARNESS,))} | used


def _allowed_addition(sink: Sink, before: Facts, after: Facts, plain: set[str]) -> bool:
    """One more generator with the harness's seed as it is; one more library seeded, once."""
    if sink.value not in plain or sink.reach in ("looped", "dead"):
        return False
    if sink.kind == "maker" or sink.what.startswith("*."):
        return True
    if sink.kind != "global" or _count(after, sink.what) > 1 or _count(before, sink.what) > 0:
        return False
    return sink.reach == "always" or sink.what.startswith("torch.cuda.")


def _allowed_removal(sink: Sink, after: Facts, plain: set[str]) -> bool:
    """A generator that is not needed any more, as long as the harness's seed still rules the rest."""
    if sink.kind in ("burn", "use", "mention", "reflection"):
        return True
    if sink.value not in plain or sink.kind not in ("global", "maker"):
        return False
    if sink.what.startswith("torch.cuda."):
        return any(other.what == "torch.manual_seed" and other.value == sink.value for other in after.sinks)
    if sink.what in ("numpy.random.seed", "random.seed"):
        return not after.draws.get(sink.what.rpartition(".")[0])
    kept = any(other.value == sink.value and other.reach == "always" for other in after.sinks)
    return kept and (sink.kind == "maker" or sink.what.startswith("*."))


def _count(facts: Facts, what: str) -> int:
    return sum(count for sink, count in facts.sinks.items() if sink.what == what)


def _is_reached(facts: Facts, what: str) -> bool:
    return any(sink.what == what and sink.reach != "dead" for sink in facts.sinks)


def _about_new(sink: Sink, before: Facts, after: Facts, gone: Counter[Sink]) -> Objection:
    values, line = after.values[sink], after.lines[sink]
    for other in gone:
        if other.what == sink.what and (pairs := _other_numbers(before.values[other], values)):
            shown = ", ".join(f"{old} became {new}" for old, new in pairs)
            return Objection("literal", f"{_shown(sink)}: the seed {shown}", line)
    case, words = _case_of_new(sink, values, before)
    return Objection(case, f"{_shown(sink)} {words}", line)


def _case_of_new(sink: Sink, values: tuple[Value, ...], before: Facts) -> tuple[str, str]:
    match sink.kind:
        case "argument":
            return "argument", "is read in another way than before"
        case "switch":
            return "determinism", "is a determinism switch; it is not a proposal's to set"
        case "state":
            return "state", "reads or sets a generator's state"
        case "mention":
            return "indirect", "is handed on instead of being called"
        case "burn":
            return "burned", "draws random numbers that nobody uses, which moves every later one"
        case "use":
            return "used", "makes something else depend on the harness's seed"
        case "reflection":
            return "dynamic", "reaches for a name that is worked out at run time"
    if sink.reach == "dead":
        return "removed", "is never reached"
    if _names(values, _SELECTING):
        return "selected", "gets a seed that was picked among several"
    if _names(values, _HASHING):
        return "hashed", "gets a hash as its seed"
    if _names(values, _CLOCKS) or not values:
        return "unseeded", "does not get the harness's seed"
    if sink.reach == "looped" or any(mentions_kind(value, "each") for value in values):
        return "loop", "is reached more than once, or with a seed from a loop"
    if not any(mentions(value, HARNESS) for value in values):
        known = any(other.what == sink.what and HARNESS_TEXT in other.value for other in before.sinks)
        if known or not _has_constant_sink(before):
            return "ignored", f"gets {_text(values)} instead of the harness's seed"
        return "literal", f"gets the seed {_text(values)}"
    if any(one == HARNESS for value in values for one in alternatives(value)) and len(values) == 1:
        if values[0] == HARNESS:
            return (
                ("conditional", "is not always reached")
                if sink.reach != "always"
                else ("repeated", "seeds again what was seeded before")
            )
        return "ignored", "does not always get the harness's seed"
    return "shifted", "gets a number that is worked out from the harness's seed, not the seed itself"


HARNESS_TEXT = repr(HARNESS)


def _other_numbers(old: object, new: object) -> list[tuple[object, object]]:
    """The constants that differ between two values of one shape; empty when the shapes differ or nothing does."""
    if old == new or not isinstance(old, tuple) or not isinstance(new, tuple):
        return []
    if len(old) == len(new) == 3 and old[0] == new[0] == "constant":
        return [(old[2], new[2])]
    if len(old) != len(new):
        return []
    parts = [_other_numbers(one, other) for one, other in zip(old, new, strict=True) if one != other]
    return [pair for part in parts for pair in part] if all(parts) else []


def _has_constant_sink(facts: Facts) -> bool:
    return any(
        sink.value.startswith("(('constant'") for sink in facts.sinks if sink.kind in ("global", "maker")
    )


def _about_gone(sink: Sink) -> Objection:
    return Objection("removed", f"{_shown(sink)} is no longer there as it was")


def _shown(sink: Sink) -> str:
    return sink.what.removeprefix("*.")


def _text(values: tuple[Value, ...]) -> str:
    shown = [str(value[2]) if value[0] == "constant" else "something else" for value in values]
    return ", ".join(shown) or "nothing"


def _names(value: object, wanted: set[str]) -> bool:
    """Whether a dotted path or an attribute inside a value ends in one of the names."""
    if not isinstance(value, tuple):
        return False
    if len(value) >= 2 and value[0] == "path":
        return str(value[1]).rpartition(".")[2] in wanted
    if len(value) == 3 and value[0] == "attribute" and value[2] in wanted:
        return True
    return any(_names(part, wanted) for part in value)


def mentions_kind(value: object, kind: str) -> bool:
    """Whether a value of that kind occurs anywhere inside a value."""
    if not isinstance(value, tuple):
        return False
    return bool(value and value[0] == kind) or any(mentions_kind(part, kind) for part in value)
