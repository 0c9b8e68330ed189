"""What is seen of the machine beside a trial: real processes, a played driver, and what a session makes of it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guards.budget_honesty import BudgetHonesty
from guards.duplicates import Duplicates
from harness.errors import UserError
from harness.keep.race import Race
from harness.records import Decision, Role
from harness.sandbox.host import devices
from harness.sandbox.host.devices import outside, permitted_gpus
from harness.task.task import Profile
from harness.trial import machine_probe
from harness.trial.local import Local
from harness.trial.machine_probe import Found, GpuProbe, HostProbe, foreign
from harness.trial.machine_probe_kernel import Driver, work
from tests.session.conftest import World

BETTER = "loss = 0.5\n# a larger model"


def test_the_host_is_measured_on_the_trials_clock() -> None:
    """Hashing takes time, and needs no GPU, no driver and no torch."""
    for clock in ("cpu", "wall"):
        with HostProbe().beside(clock) as found:
            assert found == {}
        assert found["canary_seconds"] > 0


def test_what_else_of_ours_is_busy_at_one_end_of_a_trial_says_nothing_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen on two cores: 3 ms at one end and 7 or 14 at the other, where an interpreter was started early."""
    ends = iter([0.0072, 0.0031, 0.0031, 0.0143, 0.0072, 0.0071])
    monkeypatch.setattr(machine_probe, "canary_seconds", lambda _: next(ends))
    for expected in (0.0031, 0.0031, 0.0071):  # the last: a machine that is slower at both ends
        with HostProbe().beside("cpu") as found:
            pass
        assert found["canary_seconds"] == expected


def test_where_work_bounds_a_trial_its_company_is_not_looked_at() -> None:
    """The machine's speed still is: it may explain why the steps took so long."""
    for pulse in (True, False):
        with HostProbe(pulse=pulse).beside("cpu") as found:
            time.sleep(0.8)
        assert ("pulse_seconds" in found, "busy_cores" in found) == (pulse, pulse)
        assert found["canary_seconds"] > 0


@pytest.mark.slow
def test_the_kernel_runs_in_its_own_process_and_is_started_again_when_it_died() -> None:
    """Its death is said aloud, and the next trial has a kernel again."""
    looks = GpuProbe(None)
    with contextlib.closing(looks):
        with looks.beside("wall") as found:
            assert looks._kernel is not None
            os.kill(looks._kernel.pid, signal.SIGKILL)
        assert found["kernel_seconds"] > 0
        assert "not watched" in looks.warning()
        with looks.beside("wall") as found:
            pass
        assert found["kernel_seconds"] > 0
        assert looks.warning() == "the GPU is watched without its energy and its processes"
        assert found.keys() == {"kernel_seconds"}
        pid = looks._kernel.pid
    assert not Path(f"/proc/{pid}").exists()


def test_where_the_gpu_cannot_be_asked_the_processor_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a name of its own: times of different work are never compared. The reason is told."""
    (tmp_path / "kernel.py").write_text("raise SystemExit('no such driver')")
    monkeypatch.setattr(machine_probe, "_KERNEL", tmp_path / "kernel.py")
    with contextlib.closing(GpuProbe(None)) as looks:
        with looks.beside("wall") as found:
            pass
        assert found.keys() == {"canary_seconds"}
        assert looks.warning().endswith("only the processor's: no such driver")


PLAYED = """
import json, os, sys
print(json.dumps({{"ready": True, "own_bytes": 1 << 29}}), flush=True)
for question in sys.stdin:
    answer = {{"pid": os.getpid(), "processes": {processes}, "used_bytes": {used}, "seconds": 1.0, "joules": 1.0}}
    print(json.dumps({{**answer, "missing": []}}), flush=True)
"""


@pytest.mark.parametrize(
    ("processes", "used_gib", "expected"),
    [
        ("[]", 10, {"foreign_memory_gib": 8.0}),  # the probe and what scores may hold 2 GiB
        ("[]", 1.5, {"foreign_memory_gib": 0.0}),
        ("None", 10, {"foreign_memory_gib": 8.0}),
        ("[os.getpid()]", 10, {"foreign_processes": 0.0}),
        ("[]", None, {}),
    ],
)
def test_where_no_process_is_shown_memory_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: str, used_gib: float | None, expected: Found
) -> None:
    """Most containers hide processes from NVML, memory they do not; the row and a notice say what could be seen."""
    used = None if used_gib is None else round(used_gib * (1 << 30))
    (tmp_path / "kernel.py").write_text(PLAYED.format(processes=processes, used=used))
    monkeypatch.setattr(machine_probe, "_KERNEL", tmp_path / "kernel.py")
    with contextlib.closing(GpuProbe(None)) as looks:
        with looks.beside("wall") as found:
            pass
        assert found == {"kernel_seconds": 1.0, "kernel_joules": 1.0, **expected}
        assert ("no process of ours is shown" in looks.warning()) == ("foreign_memory_gib" in expected)


def test_energy_is_counted_between_ticks() -> None:
    """A counter that moves in leaps gives the energy of a repetition all the same."""
    count = 0

    def repeat() -> None:
        nonlocal count
        count += 1
        sum(range(20_000))

    seconds, joules = work(repeat, lambda: 3.0 * (count - count % 7))
    assert joules == pytest.approx(3.0)
    assert seconds > 0
    assert work(repeat, lambda: None)[1] is None
    assert work(repeat, lambda: 5.0)[1] is None  # a counter that stands still


MULTIPLIES = """
import torch
a = torch.randn(4096, 4096, device="cuda")
print("started", flush=True)
while True:
    a @ a
    torch.cuda.synchronize()
"""


@pytest.mark.gpu
def test_a_program_on_the_trials_gpu_is_seen() -> None:
    """Beside it the kernel is slower, though its process is a child of ours; alone, it is the same each time."""

    def odd(found: Found) -> bool:
        pairs = [(found[name], calm[name]) for name in ("kernel_seconds", "kernel_joules") if name in calm]
        return found.get("foreign_processes", 0) > 0 or any(
            abs(one / other - 1) > 0.25 for one, other in pairs
        )

    card = permitted_gpus()[0]
    with contextlib.closing(GpuProbe(card)) as looks:
        rounds = []
        for _ in range(4):
            with looks.beside("wall") as found:
                pass
            rounds.append(found)
        words = [sys.executable, "-c", MULTIPLIES]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, **outside(card)}) as other:
            assert other.stdout
            assert other.stdout.readline() == b"started\n"
            try:
                with looks.beside("wall") as disturbed:
                    pass
            finally:
                other.kill()
        assert "not watched" not in looks.warning()
    calm, *alike = rounds
    assert not any(odd(found) for found in alike)
    assert odd(disturbed)


class NVML:
    """The driver's library, for one GPU; `fails` plays a driver that does not know."""

    class NVMLError(Exception):
        pass

    def __init__(self, pids: tuple[int, ...] = (), fails: bool = False) -> None:
        self.pids, self.fails = pids, fails

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, _: str) -> int:
        if self.fails:
            raise self.NVMLError
        return 1500

    def nvmlDeviceGetComputeRunningProcesses(self, _: str) -> list[object]:
        if self.fails:
            raise self.NVMLError
        return [type("Info", (), {"pid": pid}) for pid in self.pids]


def test_what_a_driver_does_not_know_is_unknown() -> None:
    assert Driver(NVML((1, 2)), "GPU-1").joules() == 1.5
    assert Driver(NVML((1, 2)), "GPU-1").processes() == [1, 2]
    silent = Driver(NVML(fails=True), "GPU-1")
    assert (silent.joules(), silent.processes(), silent.used_bytes()) == (None, None, None)


@pytest.fixture
def four_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine whose nodes are numbered against their places on the bus; the cards' UUIDs by these places."""
    names = [f"GPU-{place}{'0' * 7}-0000-0000-0000-{'0' * 12}" for place in range(4)]
    for place, name in enumerate(names):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / f"nvidia{3 - place}").touch()
        about = tmp_path / "gpus" / f"0000:{place + 1}b:00.0" / "information"
        about.parent.mkdir(parents=True)
        about.write_text(f"Model: \t\t H100\nGPU UUID: \t {name}\nDevice Minor: \t {3 - place}\n")
    monkeypatch.setattr(devices, "_DEV", tmp_path / "dev")
    monkeypatch.setattr(devices, "_CARDS", tmp_path / "gpus")
    return names


WHERE = """
import json, os
print(json.dumps({"ready": True, "where": os.environ["CUDA_VISIBLE_DEVICES"]}), flush=True)
input()
print(json.dumps({"where": os.environ["CUDA_VISIBLE_DEVICES"]}), flush=True)
"""


@pytest.mark.parametrize("said", ["2", "GPU-2", "GPU-20000000-0000-0000-0000-000000000000,0", "2,1"])
def test_the_card_that_is_named_is_the_one_that_is_looked_at(
    four_cards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """By number as nvidia-smi counts, or by name: node, trial and probe are of that card, not of the first one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    (tmp_path / "kernel.py").write_text(WHERE)
    monkeypatch.setattr(machine_probe, "_KERNEL", tmp_path / "kernel.py")
    card = permitted_gpus()[0]
    assert Local().device(Profile(seconds=1.0, gpu=True)) == card
    found = devices.devices(card)
    assert found.nodes[0].endswith("/nvidia1")  # the third on the bus
    assert found.environment["CUDA_VISIBLE_DEVICES"] == four_cards[2]
    with contextlib.closing(machine_probe.Kernel(card)) as kernel:
        assert kernel.ask("look")["where"] == four_cards[2]


def test_cards_of_a_session_are_those_that_it_names(
    four_cards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`executor.gpus` counts as nvidia-smi does, within what CUDA_VISIBLE_DEVICES leaves; a slice is told as one."""
    on_gpu = Profile(seconds=1.0, gpu=True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (card,) = Local(gpus=[2]).cards(on_gpu)
    assert outside(card)["CUDA_VISIBLE_DEVICES"] == four_cards[2]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-1")
    assert Local(gpus="all").cards(on_gpu) == [3, 1]
    with pytest.raises(UserError, match=r"no GPU 2, only \[3, 1\]"):
        Local(gpus=[2]).cards(on_gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-12345678-0000-0000-0000-000000000000")
    for executor in (Local(), Local(gpus="all")):
        with pytest.raises(UserError, match="MIG"):
            executor.cards(on_gpu)


def test_children_are_ours_and_others_are_foreign() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert foreign([os.getpid(), child.pid]) == 0
        assert foreign([os.getpid(), child.pid, 1]) == 1
        child.kill()
    assert foreign([child.pid]) == 0  # it may have been a child's that ended between two looks


class Played:
    """What a machine probe would find; `odd`: at these trials, counted from 1."""

    def __init__(self, odd: dict[int, Found]) -> None:
        self._odd, self._count = odd, 0

    @contextlib.contextmanager
    def beside(self, clock: str) -> Iterator[Found]:
        del clock
        self._count += 1
        found: Found = {}
        yield found
        found |= {"kernel_seconds": 1.0, "kernel_joules": 10.0, **self._odd.get(self._count, {})}

    def warning(self) -> str:
        return "the GPU is watched without its processes"

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"kernel_joules": 15.0}, "fixed work took more energy than calibrated (1.50 times as much)"),
        ({"kernel_seconds": 2.0}, "the machine was slower than calibrated (0.50 times as fast)"),
        ({"foreign_processes": 1.0}, "another process was on the trial's device"),
        ({"foreign_memory_gib": 3.0}, "another program held 3.0 GiB of the trial's device"),
        ({}, ""),
    ],
)
def test_a_disturbed_trial_is_made_again(world: Callable[..., World], odd: Found, said: str) -> None:
    """Work that took more energy or time than beside the baseline, or a stranger on the GPU: another trial."""
    first = Race().incumbent_runs + 1
    made = world([BETTER], guards=(BudgetHonesty(),), machine_probe=Played({first: odd}))
    session = made.session()
    session.run()
    rows = (made.folder / "ledger.jsonl").read_text()
    assert rows.count("the GPU is watched without its processes") == 1
    assert said in rows
    candidates = [spec.trial_id for spec in made.machine.runs if spec.role is Role.CANDIDATE]
    assert session.trial_runner.state.inconclusive == ({candidates[0]} if said else set())
    (decided,) = session.trial_runner.state.decided
    assert decided.decision is Decision.KEEP
    counted = session.trial_runner.state.counted(decided.commit)
    assert [seen.trial_id for seen in counted] == candidates[bool(said) :]


def test_what_only_disturbed_trials_were_spent_on_may_be_proposed_again(world: Callable[..., World]) -> None:
    """Nobody knows yet whether it helps."""
    first, odd = Race().incumbent_runs + 1, {"foreign_processes": 1.0}
    disturbed = Played({first: odd, first + 2: odd, first + 4: odd})  # the incumbent is asked between them
    better = "loss = 0.5\nsave(loss)"
    made = world([better] * 2, guards=(BudgetHonesty(), Duplicates()), machine_probe=disturbed)
    session = made.session()
    session.run()
    reasons = [proposal.reason for proposal in session.trial_runner.state.decided]
    assert reasons[0] == "inconclusive.disturbed"
    assert reasons[1].startswith("keep.")


def test_only_the_baselines_own_word_is_compared_with_the_calibration(world: Callable[..., World]) -> None:
    """Its later trials carry the ratio of their step rate; what a candidate says of itself makes none."""
    made = world(["loss = 1.001\n# nearly the same"])
    session = made.session()
    session.run()
    trial_runner = session.trial_runner
    files = made.task.source()
    seen = trial_runner.measure(files, trial_runner.state.baseline, Role.INCUMBENT, "incumbent-9")
    assert seen.machine["step_rate_ratio"] == pytest.approx(1.0)
    beside = trial_runner.measure(files, "0" * 40, Role.CANDIDATE, "p0009-1", proposal=1)
    assert beside.machine["step_rate_ratio"] == pytest.approx(1.0)  # of the baseline's trial just before
    later = trial_runner.measure(files, "0" * 40, Role.CANDIDATE, "p0009-2", proposal=1)
    assert "step_rate_ratio" not in later.machine
