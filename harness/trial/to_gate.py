"""A program from its start to its gate, and no further: it asks for its training data and is killed instead."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from harness.gate import VARIABLE
from harness.sandbox.open import BadTree, Command, Process, Sandbox
from harness.sandbox.wire import make_channel

_LOOK_SECONDS = 0.05


def run_to_gate(sandbox: Sandbox, command: Command, seconds: float, take: Callable[[int], None]) -> float:
    """Seconds from its start to its question. take: called with its tmp once nothing of it is left, if it has asked.

    seconds: that it may take. Nothing answers at the gate. Raises UserError, InfrastructureError.
    """
    ours, theirs = make_channel()
    with ours, theirs:
        environment = {**command.environment, VARIABLE: str(theirs.fileno())}
        command = replace(command, environment=environment, kept=(*command.kept, theirs.fileno()))
        start = time.monotonic()
        try:
            process = sandbox.start(command)
        except BadTree:
            return 0.0  # its trial says so
        with process:
            theirs.close()
            asked = _asked(process, ours, start + seconds)
            took = time.monotonic() - start
            end = process.kill()
            if asked and end.proven and process.temporary is not None:
                take(process.temporary)
    return took


def _asked(process: Process, gate: socket.socket, end: float) -> bool:
    """Whether it asks before it ends or its time does."""
    poller = select.poll()
    poller.register(gate, select.POLLIN)
    while process.wait(0) is None and time.monotonic() < end:
        if poller.poll(_LOOK_SECONDS * 1000):
            return bool(gate.recv(16))
    return False
