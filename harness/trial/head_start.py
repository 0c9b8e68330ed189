"""A trial's start-up beside the score of the trial before it: the program waits at its gate until it is asked for.

It has no row, as a predictor that waits has none: it has seen no training data, and what it is follows from its source
and seed alone. When the harness ends it ends, and its trial begins anew.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress

from harness.errors import InfrastructureError
from harness.records import Files, TrialSpec
from harness.sandbox.open import BadTree
from harness.trial.trial import Begun, Moment

Start = Callable[[threading.Event], AbstractContextManager[Begun]]
"""It is told when its program is wanted at once."""

_FAILED = (InfrastructureError, OSError, BadTree)


class HeadStart:
    """One trial that is on its way to its gate."""

    def __init__(self, spec: TrialSpec, source: Files, start: Start) -> None:
        """start: its block is entered in a thread of ours, and left by `close`."""
        self._spec, self._source = spec, source
        self._held, self._wanted = ExitStack(), threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="start-up")
        self._begun = self._thread.submit(self._begin, start)

    def _begin(self, start: Start) -> tuple[Begun, Moment]:
        begun = self._held.enter_context(start(self._wanted))
        return begun, begun.await_question(self._wanted)

    def taken(self, spec: TrialSpec, source: Files) -> Begun | None:
        """The program, if it is this very trial's; what it has waited for us is left out of its time. Until `close`.

        None, too, where it could not be started: who starts it again is told why.
        """
        if (spec, source) != (self._spec, self._source):
            return None
        self._wanted.set()
        with suppress(*_FAILED):
            begun, ready = self._begun.result()
            begun.timer.leave_out(ready)
            return begun
        return None

    def close(self) -> None:
        """Kills it. Raises InfrastructureError when that cannot be done."""
        self._wanted.set()
        self._thread.shutdown()
        self._held.close()
