"""Items of a score: what evaluate.py may tell beside its numbers, checked, and on its way to the session in packets.

    {"log_loss": .31, "items": {"what": "pictures", "values": [...], "weights": [...]}}      weights: default 1 each

The metric must be sum(values) / sum(weights): then a gain can be shown item by item, and resampled.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.records import ItemScores

ITEMS = "items"
_PACKET_ITEMS = 1000  # two numbers of at most 25 characters each: below a packet's 64 KiB
_MOST_ITEMS = 1_000_000
_MOST_LETTERS = 40
_TOLERANCE = 1e-6  # relative; sums in another order


def items_of(told: Any, metric: float) -> dict[str, Any]:
    """what, values, weights as plain values. Raises TypeError, a fault of the task, for what does not add up."""
    if not isinstance(told, Mapping) or not {"what", "values"} <= set(told) <= {"what", "values", "weights"}:
        raise TypeError(f"{ITEMS} must be a dict of what, values and, if they differ, weights")
    values = [float(value) for value in told["values"]]
    weights = [float(weight) for weight in told.get("weights", [1.0] * len(values))]
    what = told["what"]
    if not isinstance(what, str) or not what.replace(" ", "").isalpha() or len(what) > _MOST_LETTERS:
        raise TypeError(f"{ITEMS}: what must be a word or two")
    if not 0 < len(values) <= _MOST_ITEMS or len(weights) != len(values):
        raise TypeError(f"{ITEMS}: {len(values)} values and {len(weights)} weights")
    if not all(map(math.isfinite, (*values, *weights))) or min(weights) < 0 or not sum(weights) > 0:
        raise TypeError(f"{ITEMS}: a value is not finite, or the weights are not positive")
    mean = math.fsum(values) / math.fsum(weights)
    if not math.isclose(mean, metric, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE * 1e-3):
        raise TypeError(f"{ITEMS}: sum(values) / sum(weights) is {mean}, the metric is {metric}")
    return {"what": what, "values": values, "weights": weights}


def packets(told: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Messages that each fit into a packet."""
    if told is None:
        return
    for start in range(0, len(told["values"]), _PACKET_ITEMS):
        part = slice(start, start + _PACKET_ITEMS)
        yield {
            "op": ITEMS,
            "what": told["what"],
            "values": told["values"][part],
            "weights": told["weights"][part],
        }


class ItemPackets:
    """The other end: puts them together."""

    def __init__(self) -> None:
        self._what, self._values, self._weights = "", list[float](), list[float]()

    def take(self, message: Mapping[str, Any]) -> None:
        self._what = str(message["what"])
        self._values += _numbers(message["values"])
        self._weights += _numbers(message["weights"])

    @property
    def whole(self) -> ItemScores | None:
        """None where nothing was told."""
        if not self._values:
            return None
        return ItemScores(self._what, tuple(self._values), tuple(self._weights))


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values]
