"""The smoke test: a few seconds of the real thing, in the sandbox, unmeasured and uncounted."""

import contextlib
import time
from dataclasses import replace
from itertools import count

from harness.agents.api.tools import SmokeTest
from harness.agents.context import AgentContext
from harness.errors import InfrastructureError
from harness.records import Files, Outcome, Role, TrialResult, TrialSpec
from harness.trial.seeds import new_secret, trial_seed
from harness.trial.turns import in_sweep, turn

_BUSY = "A trial is being measured; no smoke test is possible now. Submit without, or ask later."
_MOST_PATIENCE_SECONDS = 480.0  # a command-line agent's call gives up after ten minutes


def make_smoke_test(context: AgentContext) -> SmokeTest | None:
    """None where there is no sandbox that holds: nobody has looked at what an agent tries, so nothing else confines it.

    It runs as a trial does: in the same sandbox, with the same limits, clock and gate.
    """
    if context.sandbox is None or not context.sandbox.certified:
        return None
    if context.profile.gpu and context.gpu is None:
        return None  # trials are made on other machines, which have the cards
    from harness.trial.local import Local

    folder = context.folder / "smoke"
    folder.mkdir(parents=True, exist_ok=True)
    executor = Local(context.gpu).open(context.sandbox, context.task, context.data, context.profile, folder)
    secret, numbers = new_secret(), count(1)
    patience = min(context.profile.startup_seconds + context.profile.seconds, _MOST_PATIENCE_SECONDS)

    def smoke_test(source: Files, seconds: float) -> tuple[bool, str]:
        name = f"smoke-{next(numbers)}"
        clock = replace(context.profile.trial_clock(), seconds=seconds, steps=None, tokens=None)
        spec = TrialSpec(name, "", Role.CANDIDATE, trial_seed(secret, name), clock, context.limits)
        with contextlib.ExitStack() as stack:
            if clock.kind == "wall":  # on a CPU clock a neighbour costs a trial nothing that is billed
                end = time.monotonic() + patience
                try:
                    stack.enter_context(turn(patience))
                except TimeoutError:
                    return True, _BUSY
                # In a sweep nobody waits with a turn in hand.
                left = 0.0 if in_sweep() else max(0.0, end - time.monotonic())
                if not context.quiet.acquire(timeout=left):
                    return True, _BUSY
                stack.callback(context.quiet.release)
            try:
                result = executor.run(spec, source)
            except InfrastructureError as error:
                return True, f"The smoke test could not be made ({error}); this says nothing about your edit."
        if result.artefact:
            with contextlib.suppress(OSError):
                (folder / result.artefact).unlink()
        return result.outcome is not Outcome.CRASHED, f"{_said(result, seconds)}\n{result.log}"

    return smoke_test


def _said(result: TrialResult, seconds: float) -> str:
    if result.outcome is Outcome.COMPLETED:
        return f"Ended in order, {result.billed_seconds:.1f} of {seconds:g} seconds after the data gate."
    if result.outcome is Outcome.TIMED_OUT:
        return (
            f"Still at work when the {seconds:g} seconds were over; a trial must write its artefact in time."
        )
    return f"Ended with {result.outcome}: {result.reason}."
