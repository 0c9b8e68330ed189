"""How much faster is an idle GPU than a warm one, for how long, and what does a trial gain by it?

    python scripts/bench_warmth.py                     idle=30 work=30 (seconds), on the first GPU

After idling, products of large matrices for `work` seconds: their speed in every half second against the mean of the
last third, and the seconds gained by all of the work before. Then the same with `warm` seconds of the same work and
pauses of 0 and 15 seconds before it, as between a probe before a trial and the opening of its gate. Beside it what the
driver says: power, temperature, clock, and what it shows of processes and memory.
"""

import json
import statistics
import sys
import time
from typing import Any

import torch

WIDTH, BIN_SECONDS = 4096, 0.5


def main(arguments: list[str]) -> None:
    options = {"idle": 30.0, "work": 30.0, "warm": 3.0}
    options |= {name: float(value) for name, value in (argument.split("=", 1) for argument in arguments)}
    driver = Driver()
    print(json.dumps({"before a context": driver.facts()}), flush=True)
    work = Work()
    print(json.dumps({"with a context": driver.facts()}), flush=True)
    work.seconds(2.0)
    cases = {
        "idle": (0.0, 0.0),
        "warmed": (options["warm"], 0.0),
        "warmed, then 15 s": (options["warm"], 15.0),
    }
    for name, (warm, pause) in cases.items():
        time.sleep(options["idle"])
        work.seconds(warm)
        time.sleep(pause)
        before = driver.facts()
        rates = work.rates(options["work"])
        steady = statistics.fmean(rates[-len(rates) // 3 :])
        gained = sum((rate / steady - 1) * BIN_SECONDS for rate in rates)
        line = {
            "case": name,
            "first 20 products": round(work.first / steady - 1, 4),
            "gained_seconds": round(gained, 3),
            "of_60_seconds": round(gained / 60, 5),
            "relative": [round(rate / steady - 1, 4) for rate in rates[:20]],
            "spread": round(statistics.stdev(rates[-len(rates) // 3 :]) / steady, 4),
            "before": before,
            "after": driver.facts(),
        }
        print(json.dumps(line), flush=True)


class Work:
    """Products in bfloat16, counted."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._matrix = torch.randn(WIDTH, WIDTH, device="cuda", dtype=torch.bfloat16)
        self._result = torch.empty_like(self._matrix)
        self.first = 0.0

    def products(self, count: int) -> float:
        """Products a second."""
        begin = time.perf_counter()
        for _ in range(count):
            torch.matmul(self._matrix, self._matrix, out=self._result)
        torch.cuda.synchronize()
        return count / (time.perf_counter() - begin)

    def seconds(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.products(20)

    def rates(self, seconds: float) -> list[float]:
        """Products a second in every bin; `first` is that of the first twenty."""
        self.first, found = self.products(20), []
        for _ in range(round(seconds / BIN_SECONDS)):
            begin, count = time.perf_counter(), 0
            while time.perf_counter() < begin + BIN_SECONDS:
                self.products(50)
                count += 50
            found.append(count / (time.perf_counter() - begin))
        return found


class Driver:
    """NVML for the first GPU that CUDA shows."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml: Any = pynvml
        uuid = torch.cuda.get_device_properties(0).uuid
        self._gpu = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")

    def facts(self) -> dict[str, Any]:
        nvml, gpu = self._nvml, self._gpu
        return {
            "watts": nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
            "celsius": nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
            "mhz": nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "used_mib": nvml.nvmlDeviceGetMemoryInfo(gpu).used >> 20,
            "busy_percent": nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
            "processes": [one.pid for one in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)],
        }


if __name__ == "__main__":
    main(sys.argv[1:])
