"""What the controls with a model of earlier scores share: the numbers they search, and what they are told of the past.

A failure teaches something, too: told nothing, a sampler walks into the same corner again and again.
"""

from dataclasses import dataclass

from harness.agents.controls.constants import Number
from harness.agents.controls.space import Range, apply_sizes, as_state, described
from harness.records import Direction, Json, PastProposal, Proposal, View

Space = dict[str, Range]
_OF_THE_RULE = "keep"  # the family of reasons that speak of a score
_SAYS_NOTHING = ("inconclusive", "agent")  # disturbed trials, and what never became a program


@dataclass(frozen=True, slots=True)
class TriedSizes:
    """An earlier proposal. loss: lower is better; None: it crashed, was too late or was rejected by a guard."""

    sizes: dict[str, Number]
    loss: float | None
    past: PastProposal


def told(view: View, space: Space) -> list[TriedSizes]:
    """What earlier proposals in this space came to, oldest first; those that say nothing about it are left out."""
    found = []
    for past in view.history:
        sizes = past.state.get("sizes")
        if not isinstance(sizes, dict) or set(sizes) != set(space):
            continue
        numbers = {name: size for name, size in sizes.items() if isinstance(size, int | float)}
        family = past.reason.partition(".")[0]
        loss = None if past.score is None else _loss(view, past.score)
        if family == _OF_THE_RULE and loss is not None:
            found.append(TriedSizes(numbers, loss, past))
        elif family not in (_OF_THE_RULE, *_SAYS_NOTHING):
            found.append(TriedSizes(numbers, None, past))
    return found


def baseline_loss(view: View) -> float | None:
    return None if view.baseline_score is None else _loss(view, view.baseline_score)


def tuned(view: View, space: Space, sizes: dict[str, Number], why: str, **state: Json) -> Proposal:
    """The incumbent with these numbers in it. state: what the control wants to see again, beside sizes and space."""
    remembered: dict[str, Json] = {
        "sizes": dict(sizes),
        "space": as_state(space),
    }
    text = f"tuned values: {described(view.editable, sizes)}"
    return Proposal(apply_sizes(view.editable, sizes), text, why, state={**remembered, **state})


def is_new(view: View, sizes: dict[str, Number]) -> bool:
    """Whether these numbers change the incumbent and were not proposed before."""
    tried = [past.state.get("sizes") for past in view.history]
    return sizes not in tried and bool(apply_sizes(view.editable, sizes))


def _loss(view: View, score: float) -> float:
    return -score if view.direction is Direction.MAXIMIZE else score
