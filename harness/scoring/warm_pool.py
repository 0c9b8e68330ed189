"""Processes that a score needs, started before it is needed: two predictors and the referee that will ask them."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Protocol

from harness.errors import InfrastructureError
from harness.sandbox import wire
from harness.sandbox.host.devices import outside
from harness.sandbox.open import Command, Process, Sandbox
from harness.scoring import reasons
from harness.scoring.items import ITEMS, ItemPackets

_PACKAGE = Path(__file__).resolve().parent.parent
_REFEREE = """
import sys
sys.path.insert(0, {parent!r})
from harness.scoring.referee_process import main
main({descriptor}, {early!r})
"""
_KEPT = ("PATH", "HOME", "HARNESS_CACHE", "TMPDIR", "LD_LIBRARY_PATH")
_READY_SECONDS = 120.0


class EvaluatorLost(InfrastructureError):
    """The referee's process gave no answer. reason: of what a candidate may have done to it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def _await_ready(channel: socket.socket, what: str, log: Callable[[], str]) -> None:
    """Until a process says that its imports are over. Raises InfrastructureError."""
    try:
        message = wire.receive(channel, _READY_SECONDS)
    except (wire.ChannelClosed, wire.BadMessage, TimeoutError) as error:
        raise InfrastructureError(f"{what} did not start ({type(error).__name__}): {log()[-400:]}") from None
    assert message == {"op": "ready"}


class Predictor:
    """A sandbox that waits for source and weights. `end` goes to the referee; `process` stays here."""

    def __init__(self, sandbox: Sandbox, command: Command) -> None:
        """command: without program and arguments. Raises SandboxUnavailable, InfrastructureError."""
        self._ready = False
        self.end, theirs = wire.make_channel()
        arguments = (str(theirs.fileno()), "{data}")
        os.set_inheritable(theirs.fileno(), True)
        try:
            self.process: Process = sandbox.start(
                Command(
                    script="predictor_host.py",
                    arguments=arguments,
                    tree=host_files(),
                    public=command.public,
                    imports=command.imports,
                    warm=command.warm,
                    limits=command.limits,
                    kept=(theirs.fileno(),),
                    gpu=command.gpu,
                    threads=command.threads,
                )
            )
        except BaseException:
            self.end.close()
            raise
        finally:
            theirs.close()

    def await_ready(self) -> None:
        """Until it can take a candidate; nothing of one has been there yet. Raises InfrastructureError."""
        if self._ready:
            return
        _await_ready(self.end, "an empty predictor", lambda: self.process.log)
        self._ready = True

    def begin_imports(self, modules: Sequence[str]) -> None:
        """Of packages that the candidate names, before anything of it is there."""
        with contextlib.suppress(wire.ChannelClosed):  # met again, and told, by `await_imports`
            wire.send(self.end, {"op": "import", "modules": list(modules)})

    def await_imports(self, modules: Sequence[str], seconds: float) -> None:
        """Raises reasons.PredictorFault."""
        what = f"importing {', '.join(modules)}"
        try:
            if wire.receive(self.end, seconds) == {"op": "imported"}:
                return
        except (wire.ChannelClosed, wire.BadMessage):
            pass
        except TimeoutError:
            raise reasons.PredictorFault("predictor.timeout", f"{what} took too long") from None
        raise reasons.PredictorFault("predictor.not_loaded", f"{what} failed", struck=None)

    @property
    def alive(self) -> bool:
        return self.process.wait(0) is None

    def cpu_seconds(self) -> float:
        """Of all its processes so far."""
        return self.process.cpu_seconds

    def end_now(self) -> None:
        """Returns when no process of it is left."""
        self.process.kill()

    def close(self) -> None:
        """Kills every process of it."""
        self.end.close()
        self.process.close()


def host_files() -> dict[str, bytes]:
    """What of ours travels into a predictor's sandbox."""
    return {
        "predictor_host.py": (_PACKAGE / "scoring" / "predictor_host.py").read_bytes(),
        "predictor_wire.py": (_PACKAGE / "sandbox" / "wire.py").read_bytes(),
        "predictor_memory.py": (_PACKAGE / "sandbox" / "device_memory.py").read_bytes(),
    }


class Closable(Protocol):
    def close(self) -> None: ...


def close_together(processes: Sequence[Closable]) -> None:
    """A process with a GPU open takes a second to end: all at once. Raises what one of them raises."""
    with ThreadPoolExecutor(max(1, len(processes))) as pool:
        for closing in [pool.submit(process.close) for process in processes]:
            closing.result()


class RefereeProcess:
    """One evaluate.py to be, isolated from the session's memory but trusted."""

    def __init__(self, threads: int, gpu: int | None) -> None:
        """gpu: where it may do its arithmetic."""
        self._ready = False
        self.channel, theirs = wire.make_channel()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in `close`
        code = _REFEREE.format(
            parent=str(_PACKAGE.parent), descriptor=theirs.fileno(), early=("torch",) * (gpu is not None)
        )
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        numbers = {
            name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        }
        with contextlib.closing(theirs):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={"LANG": "C.UTF-8", **kept, **numbers, **outside(gpu)},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def await_ready(self) -> None:
        """Until its imports are over. Raises InfrastructureError."""
        if self._ready:
            return
        _await_ready(self.channel, "the evaluator", lambda: self.log)
        self._ready = True

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
        return self._log.read().decode(errors="replace")

    def ask(
        self, plan: dict[str, object], descriptors: list[int], seconds: float, main: Predictor | None
    ) -> dict[str, object]:
        """The score of a plan; on the way the referee asks about `main`, and has it ended. Raises EvaluatorLost."""
        end, items = time.monotonic() + seconds, ItemPackets()
        try:
            wire.send(self.channel, plan, descriptors)
            while True:
                message = wire.receive(self.channel, max(0.001, end - time.monotonic()))
                if message["op"] == "score":
                    return {**message, ITEMS: items.whole}
                if message["op"] == ITEMS:
                    items.take(message)
                    continue
                assert main is not None
                if message["op"] == "end_main":
                    main.end_now()
                wire.send(self.channel, {"seconds": main.cpu_seconds()})
        except wire.ChannelClosed:
            raise EvaluatorLost(reasons.FAILED, f"the evaluator ended: {self.log[-1000:]}") from None
        except (TimeoutError, wire.BadMessage) as error:
            raise EvaluatorLost(reasons.TIME, f"the evaluator gave no answer: {error}") from None

    def close(self) -> None:
        self.channel.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


class WarmPool:
    """Keeps what the next score needs waiting. Every process serves one score."""

    def __init__(
        self, sandbox: Sandbox, command: Command, *, predictors: int, threads: int, warm: bool
    ) -> None:
        self._sandbox, self._command, self._warm = sandbox, command, warm
        self._wanted, self._threads = predictors, threads
        self._predictors: deque[Predictor] = deque()
        self._referee: RefereeProcess | None = None
        self._beside: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[None]] = deque()

    def begin(self) -> None:
        """Before the first score: predictors that are quickly started wait until they are wanted."""
        if not self._warm or not self._sandbox.begin(self._command):
            self.prepare()

    def overlap(self, first: Callable[[], None]) -> None:
        """From now on processes are ended and started beside what follows a score; see `settled`."""
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="predictors")
        self._do(first)

    @property
    def settled(self) -> bool:
        """Whether nothing is being ended or started any more. Asked from any thread: of a copy, made at once."""
        return all(work.done() for work in tuple(self._under_way))

    def prepare(self) -> None:
        """Start what is missing, without waiting for it. A failure here is met again, and told, at the next score."""
        if self._warm:
            self._do(self._fill_if_possible)

    def prepare_beside(self) -> None:
        """As `prepare`, for the score after the one that is being made. Only where that is not waited for."""
        if self._beside is not None:
            self.prepare()

    def dispose(self, used: Sequence[Closable]) -> None:
        """Ends what a score has used. What goes wrong is told here or at the next score, as InfrastructureError."""
        self._do(lambda: close_together(used))

    def _do(self, work: Callable[[], None]) -> None:
        if self._beside is None:
            work()
        else:
            self._under_way.append(self._beside.submit(work))

    def _settle(self) -> None:
        """Raises InfrastructureError when something could not be ended."""
        while self._under_way:
            self._under_way.popleft().result()

    def _fill_if_possible(self) -> None:
        with contextlib.suppress(InfrastructureError):
            self._fill()

    def _fill(self) -> None:
        """Beside a score one at a time, each until it waits: two would take a core from the predictor that answers."""
        self._predictors = deque(predictor for predictor in self._predictors if _kept(predictor))
        while len(self._predictors) < self._wanted:
            self._predictors.append(Predictor(self._sandbox, self._command))
            self._calm(self._predictors[-1])
        if self._referee is None or not self._referee.alive:
            self._referee = RefereeProcess(self._threads, self._command.gpu)
            self._calm(self._referee)

    def _calm(self, begun: "Predictor | RefereeProcess") -> None:
        if self._beside is not None:
            begun.await_ready()

    def await_ready(self) -> None:
        """Until nothing more has to be started for the next score."""
        self._settle()
        self._fill()
        for predictor in self._predictors:
            predictor.await_ready()
        if self._referee:
            self._referee.await_ready()

    def take(self) -> tuple[RefereeProcess, list[Predictor]]:
        """Fresh processes, now the caller's to `dispose` of. Raises SandboxUnavailable, InfrastructureError."""
        self.await_ready()
        referee, predictors = self._referee, list(self._predictors)
        assert referee is not None
        self._referee = None
        self._predictors.clear()
        return referee, predictors

    def close(self) -> None:
        if self._beside is not None:
            self._beside.shutdown()
            self._beside = None
        for predictor in self._predictors:
            predictor.close()
        self._predictors.clear()
        if self._referee:
            self._referee.close()
            self._referee = None
        self._settle()


def _kept(predictor: Predictor) -> bool:
    """Whether a waiting one is still there; what is left of another one is cleared away."""
    if predictor.alive:
        return True
    predictor.close()
    return False
