"""Asks guards one after the other. A guard that crashes has rejected: the default is no."""

from dataclasses import replace
from typing import Literal

from harness.protocols import Guard, Guards
from harness.records import Evidence, Judgement, Verdict

Stage = Literal["static", "runtime", "promotion"]


def ask(guards: Guards, evidence: Evidence) -> list[Verdict]:
    """The verdicts of the guards of the evidence's stage, in order, up to the first that rejects."""
    verdicts = []
    for guard in guards:
        if evidence.stage in guard.stages:
            verdicts.append(_asked(guard, evidence))
            if verdicts[-1].judgement is Judgement.REJECT:
                break
    return verdicts


def _asked(guard: Guard, evidence: Evidence) -> Verdict:
    try:
        return replace(guard(evidence), guard=guard.name)
    except Exception as error:  # noqa: BLE001 -- whatever goes wrong in a guard must not let a candidate pass
        message = f"the guard failed on this proposal: {type(error).__name__}: {error}"
        return Verdict(guard.name, Judgement.REJECT, f"{guard.name}.crashed", message)
