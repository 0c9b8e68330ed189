"""One trial: a candidate's train.py under the referee's clock, from its start to the artefact that it left behind.

Nothing that the candidate says about time, seeds, score, memory or steps plays a part here. Its process tree is
gone, and shown to be gone, before the first byte of out/ is read.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from harness.errors import InfrastructureError, UserError
from harness.gate import VARIABLE
from harness.ledger.live_trial import LiveTrial
from harness.protocols import Stop
from harness.records import Clock, Outcome, TrialResult, TrialSpec
from harness.sandbox.open import BadTree, Command, End, Process, Sandbox
from harness.trial.artefact import ArtefactRefused, take_artefact
from harness.trial.claims import read_claims
from harness.trial.gate_keeper import GateKeeper, TrainingFiles
from harness.trial.stall import StallWatch
from harness.trial.told import told_loss

ARTEFACTS = "artefacts"
_LOOK_SECONDS = 0.05
_SETTLING_SECONDS = 0.01
_TOLD_BYTES = 4096  # of the ends of claims and log: the last loss stands there
_SHOWN_SECONDS = (0.5, 5.0)
_STOP_SECONDS = 1.0  # between two looks at what the candidate claims
_SUSPENDED_SECONDS = 1.0
_STALLED_SECONDS = 1.0
_LATE_SHARE, _LATE_SECONDS = 0.02, 2.0  # what a kill may take on a machine under load
_IDLE_FACTOR, _IDLE_SECONDS = 10.0, 60.0  # wall-clock cap where CPU time is billed


class Timer:
    """What one trial may still use. All wall-clock times are CLOCK_BOOTTIME, which suspension does not stop."""

    def __init__(self, clock: Clock, process: Process, gated: bool) -> None:
        """gated: whether there are training data, whose handing over starts the billing; else it starts at once."""
        self._clock, self._process = clock, process
        self._start, self._awake = _now(), time.monotonic()
        self._opened: float | None = None
        self._cpu_before = 0.0
        self.ahead = self.ahead_cpu = 0.0  # of start-up: seconds before anybody waited for it
        self.ended_for = ""
        self.stall = StallWatch()
        if not gated:
            self.open()

    def open(self) -> None:
        """The gate opens now."""
        if self._opened is None:
            self._cpu_before = self._process.cpu_seconds
            self._opened = _now()

    def patience(self) -> float:
        """Seconds until there is something to decide again; 0 when the trial is over, see `ended_for`."""
        now = _now()
        if self._opened is None:
            return self._until("startup", self._clock.startup_seconds - (now - self._start))
        if self._clock.kind == "wall":
            return self._until("deadline", self._clock.seconds - (now - self._opened))
        used = self._process.cpu_seconds - self._cpu_before
        idle = self._until("idle", _IDLE_FACTOR * self._clock.seconds + _IDLE_SECONDS - (now - self._opened))
        left = self._clock.seconds - used
        return min(
            idle, self._until("deadline", left if left <= 0 else max(0.001, left / (os.cpu_count() or 1)))
        )

    def leave_out(self, since: "Moment") -> None:
        """What has passed since then was the referee's; from now on it is watched, by the thread that calls this."""
        now = Moment()
        self.ahead, self.ahead_cpu = since.real - self._start, self._process.cpu_seconds
        self._start += now.real - since.real
        self._awake += now.awake - since.awake
        self.stall = StallWatch()

    @property
    def told_ahead(self) -> dict[str, float]:
        """For a trial's row; nothing where it was awaited from its start on."""
        told = {"ahead_seconds": self.ahead, "ahead_cpu_seconds": self.ahead_cpu}
        return told if self.ahead else {}

    def share(self) -> float:
        """Of the billed time, how much is used; 0 before the gate opens."""
        if self._opened is None:
            return 0.0
        wall, cpu = _now() - self._opened, self._process.cpu_seconds - self._cpu_before
        return (wall if self._clock.kind == "wall" else cpu) / self._clock.seconds

    @property
    def showing_seconds(self) -> float:
        """Between two points of what people see while it runs: fifty to a hundred of them in a trial."""
        return min(max(self._clock.seconds / 100, _SHOWN_SECONDS[0]), _SHOWN_SECONDS[1])

    def _until(self, reason: str, left: float) -> float:
        if left > 0:
            return left
        self.ended_for = self.ended_for or reason
        return 0.0

    def measured(self, end: End) -> "Times":
        """Call it at once after the end. Where the gate was never opened, everything is billed."""
        now = _now()
        opened = self._start if self._opened is None else self._opened
        wall = now - self._start
        billed = now - opened if self._clock.kind == "wall" else end.cpu_seconds - self._cpu_before
        suspended = wall - (time.monotonic() - self._awake)
        self.stall.look()
        early = opened - self._start if self._clock.kind == "wall" else self._cpu_before
        return Times(
            opened - self._start, billed, wall, suspended, self._opened is not None, self.stall.seconds, early
        )


class Times(NamedTuple):
    """All in seconds. suspended: how long the machine slept meanwhile. opened: whether the gate was. stalled: how long
    the referee did not look. early: before the gate, in the clock of the budget."""

    startup: float
    billed: float
    wall: float
    suspended: float
    opened: bool = True
    stalled: float = 0.0
    early: float = 0.0


@dataclass(frozen=True, slots=True)
class TrialSetting:
    """What the trials of a session have in common. artefact: file name in out/. folder: the session's.

    settled: whether what the referee does beside a trial's start-up is over; until then no time is billed.
    """

    sandbox: Sandbox
    artefact: str
    folder: Path
    settled: Callable[[], bool] = lambda: True


class Begun:
    """A program from its start on, its gate shut until somebody serves there. Leaving the block kills it."""

    def __init__(self, sandbox: Sandbox, clock: Clock, command: Command, training: TrainingFiles) -> None:
        """command: without the gate, which is added here. Raises what Sandbox.start does."""
        self.gate = GateKeeper(training, clock, lambda: self.timer.open())
        try:
            end = self.gate.candidate.fileno()
            environment = {**command.environment, VARIABLE: str(end)}
            command = replace(command, environment=environment, kept=(*command.kept, end))
            self.process: Process = sandbox.start(command)
        except BaseException:
            self.gate.close()
            raise
        self.gate.candidate.close()
        self.timer = Timer(clock, self.process, gated=bool(training.files))

    def await_question(self, wanted: threading.Event) -> "Moment":
        """Nothing is answered: until it has asked for its data, or has ended, or is wanted; when that was."""
        while not wanted.is_set() and self.process.wait(0) is None:
            if self.gate.asked(_SETTLING_SECONDS):
                break
        return Moment()

    def close(self) -> None:
        try:
            self.process.close()
        finally:
            self.gate.close()

    def __enter__(self) -> "Begun":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_trial(
    bench: TrialSetting, spec: TrialSpec, command: Command, training: TrainingFiles, stop: Stop | None = None
) -> TrialResult:
    """Start, watch, kill, prove empty, take the artefact. command: as for Begun.

    Raises UserError where the clock of the budget cannot be had.
    """
    failed = TrialResult(spec.trial_id, Outcome.INFRA_FAILED, "", level=bench.sandbox.level)
    try:
        while not training.files and not bench.settled():
            time.sleep(_SETTLING_SECONDS)  # billing starts with the process
        with Begun(bench.sandbox, spec.clock, command, training) as begun:
            return finish_trial(bench, spec, begun, stop)
    except BadTree as error:
        return replace(failed, outcome=Outcome.CRASHED, reason="bad_tree", log=str(error))
    except InfrastructureError as error:
        return replace(failed, reason="sandbox", log=str(error))
    except OSError as error:
        return replace(failed, reason=f"os_error_{error.errno}", log=str(error))


def finish_trial(bench: TrialSetting, spec: TrialSpec, begun: Begun, stop: Stop | None = None) -> TrialResult:
    """The same of a program that was started; it is closed by who began it. Raises UserError, InfrastructureError."""
    _refuse_inexact(spec.clock, begun.process)
    live = LiveTrial(bench.folder, spec.trial_id)
    try:
        end = _watch(begun.process, begun.timer, begun.gate, stop, bench.settled, live)
    finally:
        live.close()
    return _result(bench, spec, begun.process, begun.timer, end)


def _refuse_inexact(clock: Clock, process: Process) -> None:
    """CPU time is billed where none of it can escape the count, or not at all. Raises UserError."""
    if clock.kind == "cpu" and not process.exact_cpu_clock:
        raise UserError(
            "CPU time cannot be counted exactly here (no isolation, and the kernel refuses perf_event_open): "
            "choose a profile with `clock: wall`, or isolation level L1 or higher (python -m harness.doctor)"
        )


def _watch(
    process: Process,
    timer: Timer,
    gate: GateKeeper,
    stop: Stop | None,
    settled: Callable[[], bool],
    live: LiveTrial,
) -> End:
    next_stop = time.monotonic() + _STOP_SECONDS
    next_told, rest = time.monotonic(), timer.showing_seconds
    while (end := process.wait(0)) is None:
        timer.stall.look()
        seconds = min(timer.patience(), _LOOK_SECONDS)
        if seconds > 0 and stop and time.monotonic() >= next_stop:
            next_stop = time.monotonic() + _STOP_SECONDS
            assert process.out is not None
            if stop(timer.share(), read_claims(process.out)):
                timer.ended_for, seconds = "hopeless", 0.0
        if seconds <= 0:
            return process.kill()
        if time.monotonic() >= next_told:
            next_told = time.monotonic() + rest
            _tell(process, timer.share(), live)
        if not settled():
            process.wait(min(seconds, _SETTLING_SECONDS))
        elif not gate.serve(seconds):
            process.wait(seconds)
    return end


def _tell(process: Process, share: float, live: LiveTrial) -> None:
    """For people who look on; nothing before the gate, where no time runs."""
    if share > 0:
        assert process.out is not None
        loss = told_loss(read_claims(process.out, _TOLD_BYTES), process.printed_last(_TOLD_BYTES))
        if loss is not None:
            live.add(share, loss)


def _result(bench: TrialSetting, spec: TrialSpec, process: Process, timer: Timer, end: End) -> TrialResult:
    times = timer.measured(end)
    outcome, reason = _verdict(end, timer.ended_for, spec.clock, times)
    assert process.out is not None
    artefact = digest = detail = ""
    if outcome is Outcome.COMPLETED:
        name = f"{ARTEFACTS}/{_file_name(spec.trial_id)}{Path(bench.artefact).suffix}"
        (bench.folder / ARTEFACTS).mkdir(exist_ok=True)
        try:
            digest = take_artefact(
                process.out, bench.artefact, spec.limits.artefact_bytes, bench.folder / name
            )
            artefact = name
        except ArtefactRefused as error:
            late = bool(timer.ended_for)
            outcome = Outcome.TIMED_OUT if late else Outcome.CRASHED
            reason = timer.ended_for if late and error.reason == "no_artefact" else error.reason
            detail = f"\n[{error}]"
    return TrialResult(
        trial_id=spec.trial_id,
        outcome=outcome,
        reason=reason,
        artefact=artefact,
        artefact_sha256=digest,
        startup_seconds=times.startup,
        billed_seconds=times.billed,
        wall_seconds=times.wall,
        cpu_seconds=end.cpu_seconds,
        peak_memory_bytes=end.peak_memory_bytes,
        claims=read_claims(process.out),
        log=process.log + detail,
        level=bench.sandbox.level,
        machine={
            "cpu_clock_exact": float(process.exact_cpu_clock),
            "warm_start": float(process.warm),
            "early_seconds": times.early,
            **timer.told_ahead,
            **({"left_processes": 0.0} if end.proven else {}),
        },
    )


def _verdict(end: End, ended_for: str, clock: Clock, times: Times) -> tuple[Outcome, str]:
    """COMPLETED here means: the artefact may be looked at."""
    if end.limit:
        return Outcome.CRASHED, end.limit
    if end.lost or not end.proven:
        return Outcome.INFRA_FAILED, "launcher_lost"
    if times.suspended > _SUSPENDED_SECONDS:
        return Outcome.INFRA_FAILED, "suspended"
    if times.stalled > _STALLED_SECONDS and (ended_for or times.billed > clock.seconds):
        return Outcome.INFRA_FAILED, "stalled"  # the candidate may have ended in time: nobody looked
    if ended_for in {"startup", "idle", "hopeless"}:
        return Outcome.TIMED_OUT, ended_for
    if end.status != 0 and not ended_for:
        return Outcome.CRASHED, _status_word(end.status)
    patience = clock.seconds * _LATE_SHARE + _LATE_SECONDS if times.opened else 0.0
    if times.billed > clock.seconds + patience:
        return Outcome.TIMED_OUT, "late"
    return Outcome.COMPLETED, ended_for


def _status_word(status: int) -> str:
    if status > 0:
        return f"exit_{status}"
    names = {int(number): number.name.lower() for number in signal.Signals}
    return names.get(-status, f"signal_{-status}")


def _file_name(trial_id: str) -> str:
    """The trial's id as a file name."""
    return re.sub(r"[^A-Za-z0-9_~.-]", "_", trial_id).lstrip(".") or "trial"


class Moment:
    """Now, by the clock that goes on while the machine sleeps and by the one that does not."""

    def __init__(self) -> None:
        self.real, self.awake = _now(), time.monotonic()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
