"""The fixed piece of work on a GPU, and what the driver says of it: a program of the referee's own.

    python machine_probe_kernel.py cuda:0      # reads "work" or "look", a line each, answers with a line of JSON

A matrix product in bfloat16, repeated. The driver's energy counter moves a few times a second only, so time and
energy are taken between two of its ticks, and the repetitions between them are counted.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_WIDTH = 4096
_WIDTH_ON_CPU = 256
_WARM_UP_SECONDS = 0.2  # an idle GPU needs a while to raise its clocks
_WORK_SECONDS = 0.6
_MOST_SECONDS = 3.0  # for a counter whose ticks do not come
_LOOK_SECONDS = 0.02  # of products between two looks at the counter: looking takes time, too


class Driver:
    """NVML for one GPU; every question has the answer None where the driver does not know."""

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._gpu = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def joules(self) -> float | None:
        """Since the driver was loaded."""
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1000
        except self._nvml.NVMLError:
            return None

    def processes(self) -> list[int] | None:
        """Ids of the processes that compute on it."""
        try:
            return [int(one.pid) for one in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu)]
        except self._nvml.NVMLError:
            return None

    def used_bytes(self) -> int | None:
        """Of its memory, by whatever, without what the driver keeps for itself."""
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._gpu, version=self._nvml.nvmlMemory_v2)
        except (self._nvml.NVMLError, AttributeError, TypeError):
            return None
        return int(memory.used)


class Silent:
    """No driver to ask."""

    def joules(self) -> None:
        return None

    def processes(self) -> None:
        return None

    def used_bytes(self) -> None:
        return None


def work(repeat: Callable[[], None], joules: Callable[[], float | None]) -> tuple[float, float | None]:
    """Seconds and joules of one repetition; repeat returns when its work is done."""
    end = time.perf_counter() + _WARM_UP_SECONDS
    while time.perf_counter() < end:
        repeat()
    begin = time.perf_counter()
    energy, count = joules(), 0
    first: tuple[float, int, float] | None = None  # energy, repetitions, time at a tick of the counter
    last: tuple[float, int, float] | None = None
    while True:
        repeat()
        count += 1
        now, seen = time.perf_counter(), joules()
        if seen is not None and seen != energy:
            first, last, energy = first or (seen, count, now), (seen, count, now), seen
        enough = energy is None or (first and last and last[2] - first[2] >= _WORK_SECONDS / 2)
        if (now - begin >= _WORK_SECONDS and enough) or now - begin >= _MOST_SECONDS:
            break
    seconds = (now - begin) / count
    if not first or not last or last[1] == first[1]:
        return seconds, None
    return seconds, (last[0] - first[0]) / (last[1] - first[1])


def _driver(uuid: str) -> Driver | Silent:
    try:
        import pynvml  # type: ignore[import-untyped] # has no types

        return Driver(pynvml, uuid)
    except Exception as error:  # noqa: BLE001 -- no library, no driver, no rights: said once, and work goes on
        print(f"no NVML: {error}", file=sys.stderr)
        return Silent()


def main() -> None:
    import torch

    device = torch.device(sys.argv[1])
    cuda = device.type == "cuda"
    width = _WIDTH if cuda else _WIDTH_ON_CPU
    driver = _driver(f"GPU-{torch.cuda.get_device_properties(device).uuid}") if cuda else Silent()
    used_before = driver.used_bytes()
    torch.set_num_threads(1)
    torch.manual_seed(0)  # numbers of chance: a product of zeros or ones draws less power
    matrix = torch.randn(width, width, device=device, dtype=torch.bfloat16)
    result = torch.empty_like(matrix)

    def repeat() -> None:
        for _ in range(products):
            torch.matmul(matrix, matrix, out=result)
        if cuda:
            torch.cuda.synchronize(device)

    products = 1
    repeat()
    begin = time.perf_counter()
    repeat()
    products = max(1, round(_LOOK_SECONDS / (time.perf_counter() - begin)))
    used = driver.used_bytes()
    own = None if used is None or used_before is None else used - used_before
    print(json.dumps({"ready": True, "own_bytes": own}), flush=True)
    for question in sys.stdin:
        answer: dict[str, Any] = {"pid": os.getpid(), "processes": driver.processes()}
        if question.strip() == "work":
            seconds, joules = work(repeat, driver.joules)
            answer["seconds"], answer["joules"] = seconds / products, joules and joules / products
        answer["used_bytes"] = driver.used_bytes()
        unknown = {"its energy": driver.joules() is None, "its processes": answer["processes"] is None}
        print(json.dumps({**answer, "missing": [name for name, true in unknown.items() if true]}), flush=True)


if __name__ == "__main__":
    main()
