"""Another seed is not research: seeding may be renamed, moved and tidied up, but not changed."""

from collections import Counter
from functools import lru_cache

from guards.seeding.objections import Objection, objections
from guards.seeding.sinks import Collector, Facts
from guards.source.program import Program
from guards.source.syntax import Unreadable, sources
from guards.source.values import TooComplex
from guards.verdicts import accept, reject
from harness.records import Evidence, Files, Verdict

_ORDER = (
    "literal", "ignored", "selected", "hashed", "loop", "shifted", "repeated", "unseeded", "conditional",
    "argument", "determinism", "state", "indirect", "dynamic", "burned", "used", "late", "removed",
)  # fmt: skip


class SeedChange:
    """Compares what reaches every seeding call in the incumbent and in the candidate, names apart."""

    name = "seed_change"
    stages = ("static",)

    def __call__(self, evidence: Evidence) -> Verdict:
        try:
            before = facts(python_files(evidence.incumbent, evidence.editable))
            after = facts(python_files(evidence.candidate, evidence.editable))
        except Unreadable as error:
            return reject(self.name, "seed.syntax", str(error))
        except (TooComplex, RecursionError):
            return reject(self.name, "seed.too_complex", "seeding cannot be followed through this code")
        found = sorted(objections(before, after), key=lambda one: _ORDER.index(one.case))
        if not found:
            return accept(self.name, evidence={"sinks": sum(after.sinks.values())})
        counted: Counter[str] = Counter(one.case for one in found)
        return reject(self.name, f"seed.{found[0].case}", _message(found[0]), {"cases": dict(counted)})


def _message(one: Objection) -> str:
    return f"line {one.line}: {one.message}" if one.line else one.message


def python_files(files: Files, paths: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """The Python files among `paths`, with their bytes."""
    return tuple((path, files[path]) for path in paths if path.endswith(".py") and path in files)


@lru_cache(maxsize=64)
def facts(files: tuple[tuple[str, bytes], ...]) -> Facts:
    """Everything about seeding in a program. Raises Unreadable, TooComplex or RecursionError."""
    return Collector(Program(sources(dict(files), tuple(path for path, _ in files)))).facts
