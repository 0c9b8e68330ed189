"""What a proposal may touch, and what its text may hold."""

from collections.abc import Iterator, Sequence

from guards.scope_code import code_findings, import_findings
from guards.scope_data import (
    STANDARD,
    DataLimits,
    information_doubts,
    information_findings,
    literal_findings,
    size_findings,
)
from guards.scope_text import Finding, path_findings, spelling_findings, text_findings
from guards.source.syntax import Source, Unreadable, sources
from guards.verdicts import accept, doubt, reject
from harness.records import Evidence, Files, Verdict

# fmt: off
IMPORTS = (
    "__future__", "abc", "argparse", "array", "bisect", "cmath", "collections", "concurrent.futures",
    "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "gc",
    "glob", "hashlib", "heapq", "io", "itertools", "json", "logging", "math", "numbers", "operator", "os", "pathlib",
    "platform", "pprint", "queue", "random", "re", "shutil", "statistics", "string", "struct", "sys", "tempfile",
    "textwrap", "threading", "time", "traceback", "types", "typing", "warnings", "weakref", "einops", "numpy",
    "safetensors", "scipy", "torch", "tqdm", "triton", "harness.gate",
)
# fmt: on


class Scope:
    """Only editable files; plain text; no growth, data, imports or code made at run time beyond the limits.

    imports: modules that may be imported beside the incumbent's own; an entry covers its submodules.
    limits: sizes, see DataLimits.
    """

    name = "scope"
    stages = ("static",)

    def __init__(self, imports: Sequence[str] = IMPORTS, limits: DataLimits = STANDARD) -> None:
        self._imports = frozenset(imports)
        self._limits = limits

    def __call__(self, evidence: Evidence) -> Verdict:
        for case, message in self._findings(evidence):
            return reject(self.name, f"{self.name}.{case}", message)
        before, after = (_editable(evidence, files) for files in (evidence.incumbent, evidence.candidate))
        old, new = (_sources_or_none(files, evidence.editable) for files in (before, after))
        doubts = [*information_doubts(old, new, self._limits)]
        return doubt(self.name, f"{self.name}.information", doubts) if doubts else accept(self.name)

    def _findings(self, evidence: Evidence) -> Iterator[Finding]:
        """In the order in which they can be trusted: paths, bytes, syntax, then what the syntax says."""
        yield from path_findings(evidence)
        before, after = _editable(evidence, evidence.incumbent), _editable(evidence, evidence.candidate)
        for path, content in after.items():
            if content != before.get(path):
                yield from text_findings(path, content)
        yield from size_findings(before, after, self._limits)
        try:
            new = sources(after, evidence.editable)
        except Unreadable as error:
            yield "syntax", str(error)
            return
        old = _sources_or_none(before, evidence.editable)
        for source in new:
            yield from spelling_findings(source)
        yield from literal_findings({s.path: s for s in old}, {s.path: s for s in new}, self._limits)
        first = _sources_or_none(_editable(evidence, evidence.baseline), evidence.editable)
        yield from information_findings(first, old, new, self._limits)
        yield from import_findings(old, new, self._imports)
        yield from code_findings(old, new)


def _sources_or_none(files: Files, paths: tuple[str, ...]) -> tuple[Source, ...]:
    try:
        return sources(files, paths)
    except Unreadable:  # a broken incumbent excuses nothing
        return ()


def _editable(evidence: Evidence, files: Files) -> dict[str, bytes]:
    return {path: files[path] for path in evidence.editable if path in files}
