"""The loss that a candidate tells while it trains, for whoever looks on. Nothing is decided by it here."""

import re
from collections.abc import Mapping

from harness.records import Json

_LOSS = re.compile(r"loss[\"']?\s*[:=]?\s*(-?\d+(?:\.\d*)?(?:e[-+]?\d+)?)", re.IGNORECASE)


def told_loss(claims: Mapping[str, Json], log: str) -> float | None:
    """The last claim in claims.jsonl, else the last `loss: 2.3` in what was printed, however that is spelt."""
    claim = claims.get("loss")
    if isinstance(claim, int | float) and not isinstance(claim, bool):
        return float(claim)
    found = _LOSS.findall(log)
    return float(found[-1]) if found else None
