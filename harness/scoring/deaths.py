"""Whether a predictor may have been struck: ended by somebody who is neither the candidate nor a limit of ours.

The machine's memory killer, an administrator, a fault: who it was cannot be told, and a candidate can end itself, too.
So such a score is made once more, from the same artefact and with the same dice: an honest candidate loses nothing, and
one that ends itself ends again, before the same questions and the same audit.
"""

import time
from collections.abc import Sequence

from harness.sandbox.host.command import End
from harness.scoring.warm_pool import Predictor

_LOOK_SECONDS = 0.005


def first_end(predictors: Sequence[Predictor], seconds: float) -> End | None:
    """Of one that was not ended on our word; None where that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        ends = [predictor.process.wait(0) for predictor in predictors]
        if own := [end for end in ends if end and not end.killed]:
            return own[0]
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_SECONDS)
