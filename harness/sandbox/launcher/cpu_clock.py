"""CPU time of a process and of everything that it will ever start, exactly. Standard library only.

A software counter of perf_event_open(2) that children inherit: it misses no process, however short-lived and
whoever waits for it, and it can be read by whoever holds the descriptor. It belongs to the launcher, so the
counted program cannot switch it off. Where the kernel refuses it, sampling (watch.py) gives a lower bound.
"""

import ctypes
import os
import struct

from harness.sandbox.launcher import kernel

_NUMBER = {"x86_64": 298, "aarch64": 241}
_SOFTWARE, _TASK_CLOCK, _INHERIT, _EXCLUDE_KERNEL_AND_HYPERVISOR = 1, 1, 1 << 1, 3 << 5
_CLOSE_ON_EXEC = 8
_ATTRIBUTE_BYTES = 112


def open_cpu_clock(process: int) -> int:
    """A descriptor to read with `read_cpu_clock`. `process` must not have started others yet. Raises OSError."""
    attributes = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    struct.pack_into("=IIQ", attributes, 0, _SOFTWARE, _ATTRIBUTE_BYTES, _TASK_CLOCK)
    for flags in (_INHERIT, _INHERIT | _EXCLUDE_KERNEL_AND_HYPERVISOR):
        struct.pack_into("=Q", attributes, 40, flags)
        try:
            return kernel.syscall(
                "perf_event_open", _NUMBER[os.uname().machine], attributes, process, -1, -1, _CLOSE_ON_EXEC
            )
        except PermissionError:
            if flags != _INHERIT:
                raise
    raise AssertionError("unreachable")


def seconds_of(reading: bytes) -> float:
    """The eight bytes that reading the descriptor gave."""
    return int.from_bytes(reading, "little") / 1e9
