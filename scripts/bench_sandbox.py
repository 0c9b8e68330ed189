"""What the sandbox costs at each level: milliseconds to start, and with a GPU the speed of training-like work inside.

    python scripts/bench_sandbox.py [starts=20] [gpu=0] [seconds=5] [levels=L3,L2,L1,L0]

Everything is measured in this one call, interleaved, and printed side by side. With a GPU: bf16 matrix products a
second inside and outside, whether torch.compile works inside, and whether a kill gives the GPU's memory back.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from harness.errors import InfrastructureError
from harness.records import Level, Limits
from harness.sandbox.host import devices
from harness.sandbox.host.measure import measured
from harness.sandbox.open import Command, Sandbox

EMPTY = {"empty.py": b""}
WORK = b"""
import json, sys, time
import torch
seconds, compiled = float(sys.argv[1]), sys.argv[2] == "compile"
a = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
def step(x):
    return torch.nn.functional.gelu(x @ a) * 0.01
if compiled:
    step = torch.compile(step)
x = a
for _ in range(20):
    x = step(x)
torch.cuda.synchronize()
start, steps = time.monotonic(), 0
while time.monotonic() - start < seconds:
    for _ in range(20):
        x = step(x)
    torch.cuda.synchronize()
    steps += 20
print(json.dumps({"steps_a_second": steps / (time.monotonic() - start)}), flush=True)
if sys.argv[3:] == ["stay"]:
    keep = torch.empty(8 << 30, dtype=torch.uint8, device="cuda")
    print("holding", flush=True)
    time.sleep(600)
"""
GPU_LIMITS = Limits(memory_bytes=64 << 30, processes=512, open_files=4096)


def milliseconds(body: Callable[[], object]) -> float:
    begin = time.perf_counter()
    body()
    return (time.perf_counter() - begin) * 1000


def start_and_end(sandbox: Sandbox) -> tuple[float, float]:
    """Milliseconds until an empty program is executed, and until everything of it is gone again."""
    begin = time.perf_counter()
    with sandbox.start(Command("empty.py", tree=EMPTY)) as process:
        started = time.perf_counter()
        process.wait()
    return (started - begin) * 1000, (time.perf_counter() - begin) * 1000


def bench_starts(sandboxes: dict[str, Sandbox], count: int) -> None:
    outside: list[float] = []
    inside: dict[str, list[tuple[float, float]]] = {name: [] for name in sandboxes}
    for _ in range(count):
        outside.append(milliseconds(lambda: subprocess.run([sys.executable, "-S", "-c", ""], check=True)))
        for name, sandbox in sandboxes.items():
            inside[name].append(start_and_end(sandbox))
    print(f"starting, {count} times each, milliseconds (median, smallest, largest)")
    print(f"  plain `python -S`, start to end        {spread(outside)}")
    for name, pairs in inside.items():
        print(f"  {name} until the program is executed      {spread([start for start, _ in pairs])}")
        print(f"  {name} an empty program, start to end     {spread([end for _, end in pairs])}")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):7.1f} {min(values):7.1f} {max(values):7.1f}"


def outside_rate(gpu: int, seconds: float, how: str) -> float:
    environment = {**os.environ, **devices.outside(gpu)}
    words = [sys.executable, "-c", WORK.decode(), str(seconds), how]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InfrastructureError(done.stderr[-500:])
    return float(json.loads(done.stdout.splitlines()[-1])["steps_a_second"])


def inside_rate(sandbox: Sandbox, gpu: int, seconds: float, how: str) -> float:
    command = Command(
        "work.py", (str(seconds), how), {"work.py": WORK}, gpu=gpu, limits=GPU_LIMITS, threads=4
    )
    with sandbox.start(command) as process:
        end = process.wait(600)
        lines = [line for line in process.log.splitlines() if line.startswith("{")]
        if end is None or end.status or not lines:
            raise InfrastructureError(f"{end}: {process.log[-800:]}")
    return float(json.loads(lines[-1])["steps_a_second"])


def bench_gpu(sandboxes: dict[str, Sandbox], gpu: int, seconds: float) -> None:
    for how in ("plain", "compile"):
        print(f"GPU {gpu}, bf16 matrix products and gelu ({how}), steps a second, inside : outside")
        for name, sandbox in sandboxes.items():
            try:
                rates = [
                    (inside_rate(sandbox, gpu, seconds, how), outside_rate(gpu, seconds, how))
                    for _ in range(3)
                ]
            except InfrastructureError as error:
                print(f"  {name} failed: {error}")
                continue
            inside, outside = (statistics.median(side) for side in zip(*rates, strict=True))
            print(f"  {name} {inside:9.1f} : {outside:9.1f} = {inside / outside:.4f}")
    for name, sandbox in sandboxes.items():
        bench_release(name, sandbox, gpu)


def bench_release(name: str, sandbox: Sandbox, gpu: int) -> None:
    """Is the GPU's memory free when `kill` returns?"""
    command = Command("work.py", ("0.1", "plain", "stay"), {"work.py": WORK}, gpu=gpu, limits=GPU_LIMITS)
    before = used_mib(gpu)
    with sandbox.start(command) as process:
        while "holding" not in process.log and process.wait(0.2) is None:
            pass
        during = used_mib(gpu)
        took = milliseconds(process.kill)
        after = used_mib(gpu)
    print(
        f"  {name} GPU memory used: {before} MiB before, {during} during, {after} after a kill of {took:.0f} ms"
    )


def used_mib(gpu: int) -> int:
    """Of the memory of that card, by whomever; the driver's library may see other cards than CUDA is told of."""
    import pynvml

    pynvml.nvmlInit()
    name = devices.outside(gpu)["CUDA_VISIBLE_DEVICES"]
    by_name = name.startswith("GPU-")
    card = pynvml.nvmlDeviceGetHandleByUUID(name) if by_name else pynvml.nvmlDeviceGetHandleByIndex(gpu)
    return int(pynvml.nvmlDeviceGetMemoryInfo(card).used) >> 20


def main(arguments: list[str]) -> None:
    settings = dict(argument.split("=", 1) for argument in arguments)
    sandboxes: dict[str, Sandbox] = {}
    for name in settings.get("levels", "L3,L2,L1,L0").split(","):
        sandbox = Sandbox(Level[name])
        result = measured(sandbox.start)
        if isinstance(result, str):
            print(f"{name} cannot be had here: {result}")
            continue
        through = [attack for attack, blocked in result.items() if not blocked]
        print(
            f"{name}: " + (f"gets through: {', '.join(through)}" if through else "all self-attacks blocked")
        )
        sandboxes[name] = sandbox
    bench_starts(sandboxes, int(settings.get("starts", "20")))
    if devices.visible_gpus():
        bench_gpu(sandboxes, int(settings.get("gpu", "0")), float(settings.get("seconds", "5")))
    else:
        print("no GPU here: nothing measured on one")


if __name__ == "__main__":
    main(sys.argv[1:])
