"""How long a predictor may keep the evaluator waiting. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredictorLimits:
    """Caps on the time for which a predictor keeps us waiting, in wall-clock seconds.

    bytes_per_item: of JSON that answers one item.
    A batch may take `batch_seconds` + its tokens (or items) * cap, the first one `startup_seconds` more.
    """

    startup_seconds: float = 300.0
    batch_seconds: float = 20.0
    seconds_per_token: float = 0.002
    seconds_per_item: float = 0.5
    seconds_in_all: float = 1800.0
    bytes_per_item: int = 128 << 10
