"""Between a sweep and its sessions: one ends when the sweep does, in order, and says with its exit code what it met."""

import os
import signal
import sys

EXIT_IN_USE = 75  # what a sweep's session says when its folder is open in another process (EX_TEMPFAIL)
IN_SWEEP = "HARNESS_SWEEP"  # in the environment of a sweep's sessions
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Asks the kernel for SIGTERM when the parent dies; ends at once when it is dead already (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
