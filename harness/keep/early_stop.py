"""Ends a hopeless trial early, by the training curve that it claims. Off unless asked for.

A claim can only ever hurt: a candidate that claims to be bad is discarded sooner, one that claims to be good runs
to its end and is scored like any other. The price is that a late starter may be thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.keep.noise_level import mean
from harness.protocols import Stop
from harness.records import Json, Observation

Curve = Sequence[tuple[float, float]]
"""(share of the budget used, claimed training loss), in order of time."""


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """after: share of the budget before which nothing is stopped; 1 turns it off.

    speed: how many times the incumbent's remaining progress the trial would need to catch up with its end.
    """

    after: float = 1.0
    speed: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.after <= 1:
            raise ValueError(f"after is {self.after}; it is a share of the budget, above 0 and at most 1")
        if self.speed < 1:
            raise ValueError(f"speed is {self.speed}; below 1 a candidate equal to the incumbent is stopped")

    def stop_for(self, incumbent: Sequence[Observation]) -> Stop | None:
        """What a trial is watched with, given the incumbent's finished trials; None when that is turned off."""
        curves = [_spread(seen.claims.get("curve")) for seen in incumbent if seen.score is not None]
        if self.after >= 1:
            return None

        def stop(share: float, claims: Mapping[str, Json]) -> bool:
            loss = claims.get("loss")
            return isinstance(loss, int | float) and self.is_hopeless([(share, float(loss))], curves)

        return stop

    def is_hopeless(self, running: Curve, incumbent: Sequence[Curve]) -> bool:
        """Whether to stop a trial whose claims so far are `running`, given complete curves of the incumbent.

        False while anything is missing, not finite or too early: without evidence a trial goes on.
        """
        whole = [curve for curve in incumbent if len(curve) >= 2]
        if not running or len(whole) < 2 or running[-1][0] < self.after or self.after >= 1:
            return False
        share, loss = running[-1]
        here, end = mean([at(curve, share) for curve in whole]), mean([curve[-1][1] for curve in whole])
        # NaN compares false: a trial that claims nonsense goes on and fails by its score
        return loss - self.speed * max(0.0, here - end) > end


def _spread(losses: Json) -> Curve:
    """A claimed list of losses, taken to lie evenly over the budget."""
    if not isinstance(losses, list):
        return ()
    known = [float(loss) for loss in losses if isinstance(loss, int | float)]
    return [((number + 1) / len(known), loss) for number, loss in enumerate(known)]


def at(curve: Curve, share: float) -> float:
    """The claimed loss at a share of the budget, between its neighbours on the curve."""
    earlier = [point for point in curve if point[0] <= share]
    later = [point for point in curve if point[0] > share]
    if not earlier or not later:
        return (earlier or later)[-1 if earlier else 0][1]
    (before, low), (after, high) = earlier[-1], later[0]
    return low + (high - low) * (share - before) / (after - before)
