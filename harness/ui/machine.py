"""This machine at the moment: how busy it is, and which sessions have a process on it. Reads, touches nothing."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.report.html.pieces import table

_LOCKS = Path("/proc/locks")
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU: busy 0 to 100, memory in bytes, watts; None where it does not say."""

    name: str
    busy: int | None
    used: int
    total: int
    watts: float | None


def running(folders: Mapping[str, Path]) -> set[str]:
    """Names of the sessions whose lock a process on this machine holds. Asking takes no lock."""
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return set()
    held = {
        words[5].rpartition(":")[2]
        for line in lines
        if len(words := line.split()) > 6 and words[1] == "FLOCK"
    }
    found = set()
    for key, folder in folders.items():
        with contextlib.suppress(OSError):
            if str((folder / "lock").stat().st_ino) in held:
                found.add(key)
    return found


@cache
def _nvml() -> Any:
    """The driver's library, opened once; None where there is no GPU of NVIDIA's."""
    try:
        import pynvml  # type: ignore[import-untyped] # has no types

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 -- no library, no driver, no rights: no GPU to show
        return None
    return pynvml


def gpus() -> list[GpuLoad]:
    """As the driver tells; none without one."""
    nvml = _nvml()
    return [] if nvml is None else [_load(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]


def _load(nvml: Any, index: int) -> GpuLoad:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    busy = watts = None
    with contextlib.suppress(nvml.NVMLError):  # older cards do not tell
        busy = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        watts = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
    return GpuLoad(str(nvml.nvmlDeviceGetName(handle)), busy, int(memory.used), int(memory.total), watts)


def machine_table(who: Iterable[tuple[str, str]]) -> str:
    """who: (session, what it does or waits for) of those that have a process here."""
    import psutil

    memory = psutil.virtual_memory()
    cores = os.cpu_count() or 1
    rows = [
        ("processor", f"{psutil.cpu_percent():.0f} % of {cores} cores, load {os.getloadavg()[0]:.1f}"),
        ("memory", f"{(memory.total - memory.available) / _GIB:.1f} of {memory.total / _GIB:.1f} GiB"),
    ]
    for number, gpu in enumerate(gpus()):
        busy = "" if gpu.busy is None else f"{gpu.busy} % busy, "
        watts = "" if gpu.watts is None else f", {gpu.watts:.0f} W"
        rows.append(
            (f"GPU {number}", f"{gpu.name}: {busy}{gpu.used / _GIB:.1f} of {gpu.total / _GIB:.0f} GiB{watts}")
        )
    if len(rows) == 2:
        rows.append(("GPU", "none"))
    return table(("machine", "now"), rows) + table(("session", "does"), who)
