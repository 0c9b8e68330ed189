"""How much program there is: shown with every verdict, and what a tie is decided by."""

import zlib
from collections import Counter

from guards.source.normal_form import NUMBER, normal_form
from guards.source.syntax import Unreadable, parsed
from guards.verdicts import accept, reject
from harness.records import Evidence, Files, Verdict

_STRING_BYTES_A_NODE = 16


class Complexity:
    """Counts the normal form: names, layout, comments and prints cost nothing; long strings cost by length.

    added_nodes: most that one proposal may add, net. changed_nodes: most that it may write anew, so that a change
    can be read; counted as parts of the normal form that the incumbent does not have.
    """

    name = "complexity"
    stages = ("static",)

    def __init__(self, added_nodes: int = 3_000, changed_nodes: int = 6_000) -> None:
        if added_nodes < 1 or changed_nodes < 1:
            raise ValueError("added_nodes and changed_nodes must be positive")
        self._added, self._changed = added_nodes, changed_nodes

    def __call__(self, evidence: Evidence) -> Verdict:
        try:
            size, packed, parts = _measured(evidence.candidate, evidence.editable)
        except (Unreadable, RecursionError) as error:
            return reject(self.name, "complexity.syntax", str(error))
        try:
            old_size, old_packed, old_parts = _measured(evidence.incumbent, evidence.editable)
        except (Unreadable, RecursionError):
            old_size, old_packed, old_parts = 0, 0, Counter[str]()
        shown = {
            "complexity": size,
            "incumbent_complexity": old_size,
            "packed_bytes": packed,
            "incumbent_packed_bytes": old_packed,
        }
        if size - old_size > self._added:
            message = f"adds {size - old_size} nodes to the program; at most {self._added} a proposal"
            return reject(self.name, "complexity.growth", message, {**shown})
        changed = sum((parts - old_parts).values())
        if changed > self._changed:
            message = f"writes {changed} nodes anew; at most {self._changed}, so that the change can be read"
            return reject(self.name, "complexity.flood", message, {**shown})
        return accept(self.name, f"{size} nodes, {size - old_size:+d}", {**shown})


def _measured(files: Files, paths: tuple[str, ...]) -> tuple[int, int, Counter[str]]:
    """Nodes, compressed bytes and the parts themselves. Raises Unreadable or RecursionError."""
    size, packed, parts = 0, 0, Counter[str]()
    for path in paths:
        if path not in files:
            continue
        if path.endswith(".py"):
            form = normal_form(parsed(path, files[path]))
            found = form.text.split(" ")
            size += form.nodes + sum(len(one) // _STRING_BYTES_A_NODE for one in found if one[:1] in "\"'b")
            packed += form.packed_bytes
            parts.update(one for one in found if one != NUMBER)
        else:
            words = files[path].split()
            size += len(words)
            packed += len(zlib.compress(files[path], 6))
            parts.update(word.decode("utf-8", "replace") for word in words)
    return size, packed, parts
