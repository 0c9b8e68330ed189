"""Does a queue or cluster work from end to end? A short trial with its scoring on one node of every kind tells."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.records import Role, TrialSpec
from harness.slots.elsewhere import RemoteSlots
from harness.slots.order import Measured, Order

if TYPE_CHECKING:
    from harness.config.setup import Setup

_DEFAULTS = ("task=digits", "budget=smoke", "budget.seconds=10")
_PATIENCE_SECONDS = 600.0


def check(arguments: list[str]) -> int:
    """Prints a line for every kind of node; 0 when all of them gave a score. Raises UserError."""
    from harness.config.setup import load

    groups = {argument.partition("=")[0] for argument in arguments}
    defaults = [] if {"task", "budget"} & groups else list(_DEFAULTS)
    setup = load([*defaults, *arguments])
    if not hasattr(setup.executor, "open_slots"):
        raise UserError(
            "doctor checks a queue: give executor=slurm or executor=ray, or nothing for this machine"
        )
    place = Path(setup.session.folder)
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="doctor-", dir=place)).resolve()  # where nodes see sessions, too
    try:
        return _check(setup, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(setup: "Setup", folder: Path) -> int:
    from harness.session.folder import kit_of
    from harness.task.prepare import prepared

    profile = setup.budget.trial_profile(setup.task)
    data = prepared(setup.task, setup.budget.profile, choices=setup.data)
    kind: Any = setup.executor
    slots: RemoteSlots = kind.open_slots(kit_of(setup, data, profile, None), folder)
    try:
        kinds = slots.kinds()
        if not kinds:
            raise UserError("no node there takes work now")
        failed = 0
        for number, (kind, node) in enumerate(kinds.items(), 1):
            spec = TrialSpec(
                f"doctor-{number}@1", "", Role.NOISE, number, profile.trial_clock(), profile.limits()
            )
            begin = time.monotonic()
            slots.start_on(node, Order(spec.trial_id, spec, setup.task.source()))
            measured = _answer(slots)
            said, works = _said(setup, measured, time.monotonic() - begin)
            print(f"{kind} ({node}): {said}", flush=True)
            failed += not works
        return int(failed > 0)
    finally:
        slots.close()


def _answer(slots: RemoteSlots) -> Measured | None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        found = slots.finished(5.0)
        for notice in slots.notices():
            print(f"  {notice}", flush=True)
        if found:
            return found[0]
    return None


def _said(setup: "Setup", measured: Measured | None, seconds: float) -> tuple[str, bool]:
    if measured is None:
        return f"FAILED: no answer after {_PATIENCE_SECONDS:.0f} s; is the queue full?", False
    result = measured.result
    score = measured.scores[-1] if measured.scores else None
    if score is None or score.value is None:
        why = f"{score.reason}: {score.detail}" if score else f"{result.reason}: {result.log[-300:]}"
        return "FAILED: " + " ".join(why.split()), False
    around = seconds - result.wall_seconds
    return (
        f"works: isolation {result.level.name}, {setup.task.metric} {score.value:.4g}, "
        f"{result.wall_seconds:.1f} s of trial and {around:.1f} s around it"
    ), True
