"""The referee's agent on a node: one trial and its score, in the folder that it is given.

    python -m harness.slots.node FOLDER

The clock, the gate, the sandbox and the kill are here, beside the trial; isolation is measured before it starts. The
folder holds order.json, the one above it kit.json; result.json is written last. Exit code 0 whenever that is there.
"""

import os
import socket
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from harness.errors import HarnessError, SandboxUnavailable
from harness.records import Level
from harness.sandbox.open import Sandbox, open_sandbox
from harness.scoring.evaluator import SandboxEvaluator
from harness.slots.order import Measured, Order
from harness.slots.parcel import KIT, ORDER, RESULT, Kit, order_of, result_bytes, write
from harness.slots.slot import Slot, nothing
from harness.slots.this_machine import fixed_work, probe_for
from harness.trial.local import Local

PLACE = "HARNESS_PLACE"  # in the agent's environment: what its node is called by those who sent it
_BEGUN = "begun"
ISOLATION = "isolation"  # the reason of an order that a node could not take


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    order, nonce = order_of((folder / ORDER).read_bytes())
    if not (folder / RESULT).exists():  # a queue that starts it twice gets the first answer
        measured = _once(order, folder) or made(Kit.of((folder.parent / KIT).read_bytes()), order, folder)
        write(folder / RESULT, result_bytes(measured, nonce))
    return 0


def _once(order: Order, folder: Path) -> Measured | None:
    """None for the first one at it. A seed that a program has seen is not given to it again: who requeues it gets no
    trial, and the harness asks with a fresh one.
    """
    try:
        (folder / _BEGUN).touch(exist_ok=False)
    except FileExistsError:
        return Measured(
            order.id, nothing(order, "started_twice", "the queue started it again"), place=_name()
        )
    return None


def _name() -> str:
    return os.environ.get(PLACE) or os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def made(kit: Kit, order: Order, folder: Path) -> Measured:
    """Never raises for what a candidate can do, nor for what this node lacks."""
    name = _name()
    try:
        sandbox = open_sandbox(kit.level, kit.allow_unsafe)
        if sandbox.level < kit.least_level and not kit.allow_unsafe:
            raise SandboxUnavailable(f"{sandbox.level.name} is measured, {kit.least_level.name} is wanted")
        with ExitStack() as stack:
            stack.callback(sandbox.close)
            return _place(kit, sandbox, folder, name, stack).measure(order, threading.Event())
    except SandboxUnavailable as error:
        return Measured(order.id, nothing(order, ISOLATION, str(error)), place=name)
    except HarnessError as error:
        return Measured(order.id, nothing(order, "node", str(error)), place=name)
    except OSError as error:
        return Measured(order.id, nothing(order, f"os_error_{error.errno}", str(error)), place=name)


def _place(kit: Kit, sandbox: Sandbox, folder: Path, name: str, stack: ExitStack) -> Slot:
    # One trial in a folder of its own: nothing that is compiled for it could serve another.
    kind = Local(salted_seeding=kit.salted_seeding, reordering=kit.reordering, compile_once=False)
    gpu = kind.device(kit.profile)
    placebo = Path(kit.placebo) if kit.placebo else None
    executor = kind.open(sandbox, kit.task, kit.data, kit.profile, folder, placebo)
    stack.callback(executor.close)
    evaluator = SandboxEvaluator(sandbox, kit.task, kit.data, kit.profile, folder, kit.scoring, gpu)
    stack.callback(evaluator.close)
    probe = probe_for(gpu, fixed_work(kit.profile))
    stack.callback(probe.close)
    where = name if gpu is None else f"{name} gpu {os.environ.get('CUDA_VISIBLE_DEVICES', gpu)}"
    return Slot(where, executor, evaluator, probe)


def least_level(level: str) -> Level:
    """What a node must give at least for the session's `sandbox.level`: any that is proven, where it is auto."""
    return Level[level] if level in Level.__members__ else Level.L1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
