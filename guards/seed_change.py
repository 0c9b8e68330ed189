"""Another seed is not research: seeding may be renamed, moved and tidied up, but not changed."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from guards.seeding.facts import Facts
from guards.seeding.objections import Objection, objections
from guards.seeding.sinks import Collector
from guards.source.syntax import Unreadable, sources
from guards.source.values import TooComplex, analysed
from guards.verdicts import accept, doubt, reject
from harness.records import Evidence, Files, Json, Verdict

_ORDER = (
    "literal", "ignored", "selected", "hashed", "loop", "shifted", "repeated", "unseeded", "conditional",
    "argument", "undone", "own_generator", "determinism", "state", "indirect", "dynamic", "burned", "used", "late",
    "worker", "removed",
)  # fmt: skip


class SeedChange:
    """Compares what reaches every seeding call in the incumbent and in the candidate, names apart.

    Rejects what is plain; marks what is doubtful, which then needs trials that show whether it follows its seeds.
    """

    name = "seed_change"
    stages = ("static",)

    def __call__(self, evidence: Evidence) -> Verdict:
        before = _facts_or_none(python_files(evidence.incumbent, evidence.editable))
        try:
            after = facts(python_files(evidence.candidate, evidence.editable))
        except Unreadable as error:
            return reject(self.name, "seed.syntax", str(error))
        except (TooComplex, RecursionError):
            message = "seeding cannot be followed through this code"
            if before is None:  # it could not before, either
                return doubt(self.name, "seed.too_complex", [message])
            return reject(self.name, "seed.too_complex", message)
        before = before or Facts()
        found = sorted(objections(before, after), key=lambda one: (not one.plain, _ORDER.index(one.case)))
        counted: dict[str, Json] = {"cases": dict[str, Json](Counter(one.case for one in found))}
        if not found:
            return accept(self.name, evidence={"sinks": sum(after.sinks.values())})
        if found[0].plain:
            return reject(self.name, f"seed.{found[0].case}", _message(found[0]), counted)
        return doubt(self.name, f"seed.{found[0].case}", _doubts(found), counted)


def _facts_or_none(files: tuple[tuple[str, bytes], ...]) -> Facts | None:
    """An incumbent's; None where they cannot be found out."""
    try:
        return facts(files)
    except (Unreadable, TooComplex, RecursionError):
        return None


def _message(one: Objection) -> str:
    return f"line {one.line}: {one.message}" if one.line else one.message


def _doubts(found: Sequence[Objection]) -> list[str]:
    """One line for each thing that is doubtful, without repetition."""
    return list(dict.fromkeys(_message(one) for one in found))


def python_files(files: Files, paths: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """The Python files among `paths`, with their bytes."""
    return tuple((path, files[path]) for path in paths if path.endswith(".py") and path in files)


@lru_cache(maxsize=64)
def facts(files: tuple[tuple[str, bytes], ...]) -> Facts:
    """Everything about seeding in a program. Raises Unreadable, TooComplex or RecursionError."""
    return Collector(analysed(sources(dict(files), tuple(path for path, _ in files)))).facts
