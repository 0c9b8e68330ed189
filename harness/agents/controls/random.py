"""The cheapest control: change one number at random. What a clever agent must beat."""

import random

from harness.agents.controls.space import apply_sizes, constants_of, described, past_sizes, range_around
from harness.records import Proposal, View

_ATTEMPTS = 50


class Random:
    """Multiplies one numeric constant of the incumbent (more with `changes`) by a random factor. Stateless:
    draws depend on the view's seed alone; what was already tried is not tried again."""

    reads_program = False
    repeatable = True

    def __init__(self, factor: float = 4.0, changes: int = 1) -> None:
        """factor: largest ratio of old and new value. Raises ValueError unless factor > 1 and changes > 0."""
        if factor <= 1 or changes < 1:
            raise ValueError("factor must be more than 1 and changes at least 1")
        self._factor = factor
        self._changes = changes

    def propose(self, view: View) -> Proposal | None:
        """None when the editable files hold no number to change."""
        constants = [each for each in constants_of(view.editable).values() if each.tuned]
        if not constants:
            return None
        generator = random.Random(view.seed)
        tried = past_sizes(view)
        for _ in range(_ATTEMPTS):
            picked = generator.sample(constants, min(self._changes, len(constants)))
            sizes = {}
            for constant in picked:
                span = range_around(constant.value, self._factor)
                ratio = self._factor ** generator.uniform(-1.0, 1.0)
                sizes[constant.name] = span.clip(abs(constant.value) * ratio)
            files = apply_sizes(view.editable, sizes)
            if files and sizes not in tried:
                text = described(view.editable, sizes)
                return Proposal(files, f"random change: {text}", state={"sizes": dict(sizes)})
        return None
