"""What only a GPU shows of the sandbox, at each level."""

import pytest
from bench_sandbox import used_mib
from sandbox_levels import TrialBench

from harness.sandbox.host.devices import permitted_gpus

pytestmark = pytest.mark.gpu

# CUDA reserves address space by the tens of gigabytes.
SIZE = {"memory_bytes": 64 << 30, "processes": 512, "open_files": 4096, "out_bytes": 32 << 20}
HOLD = """
import torch
torch.zeros(1, device="cuda")
free, total = torch.cuda.mem_get_info()
open_gate(options.data)
held = torch.empty(int(total * {share}), dtype=torch.uint8, device="cuda").fill_(1)
finish([held.numel(), total])
{then}
"""


def test_a_kill_at_the_deadline_gives_the_gpus_memory_back(bench: TrialBench) -> None:
    """B4 on a GPU: when the referee says that a trial is over, the next one can have all the memory.

    The daemon, which has the GPU open, too, holds nothing either.
    """
    card = permitted_gpus()[0]
    daemon = "if os.fork() == 0:\n    os.setsid()\ntime.sleep(600)"
    before = used_mib(card)
    result = bench.trial(
        HOLD.format(share=0.6, then=daemon), seconds=8, startup=120, gated=True, gpu=card, **SIZE
    )
    after = used_mib(card)
    held, total = bench.answer(result)
    assert result.reason == "deadline"
    assert held > total / 2
    assert (after - before) << 20 < total / 100
    again = bench.trial(
        HOLD.format(share=0.9, then=""), seconds=60, startup=120, gated=True, gpu=card, **SIZE
    )
    assert bench.answer(again)[0] > 0.89 * total
    assert again.reason == ""
