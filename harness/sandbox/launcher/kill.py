"""Three ways to kill everything that the untrusted program started. Standard library only."""

import contextlib
import os
import signal
from collections.abc import Callable

from harness.sandbox.launcher.watch import descendants


def kill_namespace() -> None:
    """As pid 1: everybody else in the namespace, in one call that no fork can outrun."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def kill_user(user: int) -> Callable[[], None]:
    """Every process of a user that nobody else on the machine has; no fork can outrun that either.

    The killer's real and saved user is the number above, also reserved: the victims cannot stop the killer.
    """

    def kill_all() -> None:
        killer = os.fork()
        if killer == 0:
            with contextlib.suppress(OSError):
                os.setresuid(user + 1, user, user + 1)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(killer, 0)

    return kill_all


def kill_descendants() -> None:
    """Stop all first, so that none forks while we go through the list; the caller repeats until none is left."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
