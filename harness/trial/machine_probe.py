"""Was the machine under a trial the machine that it was calibrated on? A fixed piece of work of ours tells.

The numbers go into TrialResult.machine under the names of guards/budget_honesty.py, which decides what follows.
"""

import contextlib
import hashlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from harness.sandbox.host.devices import outside
from harness.trial.pulse import Pulse
from harness.trial.turns import in_sweep

_BYTES = 4 << 20
_REPEATS = 12
_KERNEL = Path(__file__).resolve().parent / "machine_probe_kernel.py"
_KEPT = ("PATH", "HOME", "TMPDIR")
_START_SECONDS = 120.0
_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 15.0
_END_SECONDS = 10.0
_OUR_CONTEXTS = (
    4  # on the GPU beside no trial: of this probe, of two predictors, of the referee that will ask them
)

_BY_MEMORY = (
    "its processes (no process of ours is shown: other programs are seen by their memory, between trials)"
)

Found = dict[str, float]
"""canary_seconds: of the hashing, at the better end of the trial; pulse_seconds, busy_cores: see pulse.py;
kernel_seconds, kernel_joules: of a product on the GPU; foreign_processes; where the driver shows no process of ours, as
in most containers, foreign_memory_gib: of the GPU's memory, more than all of ours may hold while no trial is there."""


class MachineProbe(Protocol):
    """Looks at the machine beside a trial."""

    def beside(self, clock: str) -> contextlib.AbstractContextManager[Found]:
        """Around a trial; what was found is there when the block has ended. clock: "cpu" or "wall", as it is billed."""

    def warning(self) -> str:
        """What it cannot see, in a sentence for people; "" if it sees all that it should."""

    def close(self) -> None: ...


class HostProbe:
    """Of a processor: hashing before and after the trial, and a pulse while it runs.

    The better of the two ends tells: what else of ours is busy there (an interpreter that is started early, a predictor
    that is ending) makes hashing beside it two to five times as slow for some tens of milliseconds, and says nothing
    about the trial. A machine that has become slower, or faster, is so at both ends.
    """

    def __init__(self, *, pulse: bool = True) -> None:
        """pulse: not where work bounds a trial, which scores the same in any company."""
        self._pulse = pulse

    @contextlib.contextmanager
    def beside(self, clock: str) -> Iterator[Found]:
        before, found = canary_seconds(clock), Found()
        if self._pulse:
            with Pulse(clock) as pulse:
                yield found
            found |= pulse.found()
        else:
            yield found
        found["canary_seconds"] = min(before, canary_seconds(clock))

    def warning(self) -> str:
        return ""

    def close(self) -> None:
        pass


class Unwatched:
    """Of places that share a machine while work, not time, bounds a trial: its speed bears on no score."""

    @contextlib.contextmanager
    def beside(self, clock: str) -> Iterator[Found]:  # noqa: ARG002 -- there is nothing to look at
        yield Found()

    def warning(self) -> str:
        return ""

    def close(self) -> None:
        pass


def canary_seconds(clock: str) -> float:
    """Time for a fixed piece of work (hashing), the least of several; clock: "cpu" or "wall", as trials are billed."""
    now = time.thread_time if clock == "cpu" else time.perf_counter
    block, taken = bytes(_BYTES), []
    for _ in range(_REPEATS):
        begin = now()
        hashlib.sha256(block).digest()
        taken.append(now() - begin)
    return min(taken)


class GpuProbe:
    """Of a GPU: time and energy of a fixed kernel before and after the trial; other programs on it meanwhile.

    The kernel runs in a process of its own (machine_probe_kernel.py), so that the session imports no torch and a
    failing driver takes nothing along. Where the GPU cannot be asked, the processor is looked at, and `warning`
    says so.
    """

    def __init__(self, gpu: int | None, look_seconds: float = _LOOK_SECONDS) -> None:
        """gpu: index of the device; None runs the kernel on the processor, for tests of everything around it."""
        self._gpu, self._look_seconds = gpu, look_seconds
        self._host = HostProbe()
        self._kernel: Kernel | None = None
        self._missing: tuple[str, ...] = ()
        self._error = ""

    @contextlib.contextmanager
    def beside(self, clock: str) -> Iterator[Found]:
        before = self._ask("work")
        if before is None:
            with self._host.beside(clock) as found:
                yield found
            return
        found = Found()
        foreign, over = [_foreign(before)], threading.Event()
        looking = threading.Thread(target=self._look, args=(foreign, over), daemon=True)
        looking.start()
        try:
            yield found
        finally:
            over.set()
            looking.join()
        after = self._ask("work") or before
        found["kernel_seconds"] = max(before["seconds"], after["seconds"])
        if before["joules"] is not None and after["joules"] is not None:
            found["kernel_joules"] = max(before["joules"], after["joules"])
        seen = [count for count in (*foreign, _foreign(after)) if count is not None]
        held = [size for size in map(self._foreign_gib, (before, after)) if size is not None]
        if seen:
            found["foreign_processes"] = float(max(seen))
        elif held:
            found["foreign_memory_gib"] = max(held)
            self._missing = (*self._missing, _BY_MEMORY)

    def _foreign_gib(self, answer: Mapping[str, Any]) -> float | None:
        """Memory that is not ours, while no trial runs; None where nobody can say."""
        own = self._kernel.own_bytes if self._kernel else None
        if own is None or answer.get("used_bytes") is None:
            return None
        return max(0.0, float(answer["used_bytes"] - _OUR_CONTEXTS * own) / (1 << 30))

    def _look(self, foreign: list[int | None], over: threading.Event) -> None:
        while not over.wait(self._look_seconds):
            if answer := self._ask("look"):
                foreign.append(_foreign(answer))

    def _ask(self, question: str) -> dict[str, Any] | None:
        """The kernel's answer, or None; a process that failed is started once more at the next question."""
        try:
            self._kernel = self._kernel or Kernel(self._gpu)
            answer = self._kernel.ask(question)
        except KernelFailed as error:
            self._error = str(error)
            self.close()
            return None
        self._missing = tuple(answer["missing"])
        self._error = ""
        return answer

    def warning(self) -> str:
        if self._error:
            return f"the GPU's speed is not watched, only the processor's: {self._error}"
        return f"the GPU is watched without {' and '.join(self._missing)}" if self._missing else ""

    def close(self) -> None:
        if self._kernel:
            self._kernel.close()
            self._kernel = None


class KernelFailed(Exception):
    """The kernel's process gave no answer."""


class Kernel:
    """The process of machine_probe_kernel.py. One question at a time, from any thread."""

    def __init__(self, gpu: int | None) -> None:
        """Raises KernelFailed."""
        self._lock = threading.Lock()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in `close`
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        where = "cpu" if gpu is None else "cuda:0"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_KERNEL), where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            stderr=self._log,
            env={"LANG": "C.UTF-8", **kept, **outside(gpu)},
            start_new_session=True,
        )
        try:
            self.own_bytes: int | None = self._answer(_START_SECONDS).get("own_bytes")
        except KernelFailed:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: str) -> dict[str, Any]:
        """`work`: {"seconds", "joules" or None} of one repetition; both `work` and `look`: "processes" on the GPU
        and what is "missing". Raises KernelFailed.
        """
        with self._lock:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(question.encode() + b"\n")
                self._process.stdin.flush()
            except (OSError, ValueError):
                raise KernelFailed(self._words()) from None
            return self._answer(_ANSWER_SECONDS)

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        line, end = b"", time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
                raise KernelFailed("no answer in time")
            if not (more := os.read(self._process.stdout.fileno(), 1 << 16)):
                raise KernelFailed(self._words())
            line += more
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def _words(self) -> str:
        self._end()
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it ended without a word"

    def _end(self) -> None:
        """A process that hangs in the driver cannot be killed; it is not waited for."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def close(self) -> None:
        self._end()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def _foreign(answer: Mapping[str, Any]) -> int | None:
    """Processes on the GPU that are neither ours nor our children's; None where nobody can say."""
    listed, own = answer["processes"], answer["pid"]
    if listed is None or own not in listed:
        return None  # a container that shows no process, or other numbers than ours
    return foreign(listed)


def foreign(listed: Iterable[int]) -> int:
    """How many of these process ids belong neither to this process nor to its descendants, nor to its sweep's:
    sessions that take turns with this one keep a process on the GPU that does nothing meanwhile.
    """
    root = psutil.Process(os.getppid() if in_sweep() else os.getpid())
    ours = {root.pid, *(child.pid for child in root.children(recursive=True))}
    # One that has ended may be a child's.
    return sum(pid not in ours and psutil.pid_exists(pid) for pid in listed)
