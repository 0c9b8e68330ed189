"""A place for one trial at a time on this machine: its executor, its evaluator, its look at the machine, its cores."""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

from harness.ledger.ahead import NOT_WANTED
from harness.protocols import Evaluator, Executor
from harness.records import Json, Level, Outcome, Score, TrialResult
from harness.slots.order import MOST_SCORINGS, Measured, Order
from harness.trial.machine_probe import MachineProbe
from harness.trial.turns import turn


@dataclass
class Slot:
    """cores: of the processor; its thread and whatever that starts run there only. None: all of them.

    quiet: held while a trial runs on a wall clock, see TrialRunner. gpu: the card, if it is one of several.
    """

    name: str
    executor: Executor
    evaluator: Evaluator
    probe: MachineProbe
    cores: frozenset[int] | None = None
    quiet: "threading.Lock | nullcontext[None]" = field(default_factory=nullcontext)
    close: Callable[[], None] = field(default=lambda: None)
    gpu: int | None = None

    def pin(self) -> None:
        """Of the thread that calls it."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)

    def measure(self, order: Order, cancelled: threading.Event) -> Measured:
        """The trial and its score. Never raises for what a candidate can do."""

        def stop(share: float, claims: Mapping[str, Json]) -> bool:
            return cancelled.is_set() or bool(order.stop and order.stop(share, claims))

        scores: list[Score] = []
        with turn(gpu=self.gpu):
            if cancelled.is_set():
                return self._not_wanted(order)
            kind = order.spec.clock.kind
            undisturbed = self.quiet if kind == "wall" else nullcontext()
            with undisturbed, self.probe.beside(kind) as found:
                result = self.executor.run(order.spec, order.source, stop)
            if cancelled.is_set():
                return self._not_wanted(order)
            while result.outcome is Outcome.COMPLETED and len(scores) < MOST_SCORINGS:
                scores.append(self.evaluator.score(result, order.source, order.split, order.baseline))
                if scores[-1].status != "infra_failed":
                    break
        return Measured(order.id, result, tuple(scores), dict(found), self.name)

    def _not_wanted(self, order: Order) -> Measured:
        return Measured(order.id, nothing(order, NOT_WANTED), place=self.name)


def nothing(order: Order, reason: str, log: str = "") -> TrialResult:
    """Of a trial that gave no result, for a reason of ours."""
    return TrialResult(order.spec.trial_id, Outcome.INFRA_FAILED, reason, log=log, level=Level.L0)
