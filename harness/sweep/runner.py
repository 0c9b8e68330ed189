"""`python -m harness -m agent=random,optuna repeat=0,1,2`: one session for each combination, in its own process.

Sessions share the machine: several go on side by side and take turns, trial by trial, one trial at a time on each
GPU, or on every two cores where no arm needs one. So a machine that grows slower over the night is slow for every arm,
and one arm's agent thinks while another's trial runs. All arms of a repeat come before the next repeat. A failed arm
is a result and is written down; the same command goes on with an interrupted sweep.
"""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.config.compose import sweeper_params
from harness.config.setup import Setup
from harness.errors import UserError
from harness.ledger.own_folder import own_folder
from harness.ledger.reading import LEDGER, Tail, session_folders
from harness.ledger.session_record import SessionRecord
from harness.ledger.sweep_record import Record
from harness.report.escape import one_line
from harness.report.words import signed
from harness.sandbox.host.devices import permitted_gpus
from harness.sandbox.machine import memory_bytes
from harness.sweep.arms import Arm, Sweep, sweep_of
from harness.sweep.checked import checked
from harness.sweep.child import EXIT_IN_USE, IN_SWEEP
from harness.sweep.estimate import estimate_lines
from harness.sweep.live import LiveArms, shown
from harness.task.task import Profile
from harness.trial.turns import VARIABLE, Turns, card_variable

_PATIENCE_SECONDS = 60.0  # for a session to end in order, before it is killed
_INTERRUPTED = 130
_MOST_ABREAST = 4
_SESSION_GIB = 4.0  # of memory: a session, its waiting predictors, and its share of a trial


def main(argv: list[str], dry: bool = False) -> int:
    """0 when every arm has ended, failed ones included; 1 when all failed. dry: only says what would be started.

    Raises UserError before any arm is started when one of them cannot be.
    """
    sweep, setups = checked(sweep_of([*argv, *sweeper_params(argv)]))
    profiles = [setup.budget.trial_profile(setup.task) for setup in setups]
    elsewhere = [slots for setup in setups if (slots := _slots_elsewhere(setup.config))]
    if elsewhere:
        places: list[int | None] = [None] * (sweep.slots or max(elsewhere))
    else:
        places = trial_places(profiles, permitted_gpus(), sweep.slots)
    abreast = sweep.abreast or _abreast(len(sweep.arms), len(places))
    if dry:
        for line in estimate_lines(sweep, setups, len(places), abreast):
            print(line)
        return 0
    with _locked(sweep.folder):
        record = Record(sweep.folder)
        if not record.rows:
            arms = {arm.name: arm.choices for arm in sweep.arms}
            record.add("sweep_started", arguments=argv, arms=arms)
        Runner(sweep, record, places, abreast, several=_on_several(sweep, setups)).run()
        failed = [row for row in record.ended().values() if row["code"] != 0]
        _say(f"{len(sweep.arms)} arms, {len(failed)} failed; compare: harness compare {sweep.folder}")
        return 1 if len(failed) == len(sweep.arms) else 0


_SESSION = """
import sys
from harness.sweep.child import end_with_parent
end_with_parent(int(sys.argv.pop(1)))
from harness.__main__ import main
sys.exit(main())
"""


@dataclass
class Runner:
    """slots: one entry a trial that may run at a time: the GPU that it gets, or None. abreast: sessions a slot.

    several: names of arms that use several cards themselves; they take turns for each.
    """

    sweep: Sweep
    record: Record
    slots: list[int | None]
    abreast: int = 1
    command: tuple[str, ...] = (sys.executable, "-c", _SESSION)
    several: frozenset[str] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _processes: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _turns: dict[int | None, Turns] = field(default_factory=dict)
    _say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        self._live = LiveArms(
            {arm.name: (arm.label, self.sweep.folder / arm.name) for arm in self.sweep.arms}
        )
        for name, row in self.record.ended().items():
            if name in self._live.views:
                self._live.set(name, "ended" if row["code"] == 0 else "FAILED")

    def run(self) -> None:
        """Returns when every arm has ended. KeyboardInterrupt ends the sessions in order first."""
        ended = self.record.ended()
        left = [
            arm for arm in self.sweep.arms if arm.name not in ended or self._again(ended[arm.name]["code"])
        ]
        waiting = deque(left)
        for label in self.sweep.merged:
            _say(f"{label}: its agent reads no program, so it is no arm of its own")
        _say(
            f"sweep {self.sweep.folder}: {len(left)} of {len(self.sweep.arms)} arms, "
            f"{len(self.slots) * self.abreast} at a time, trials of {len(self.slots)}"
        )
        threads = [
            threading.Thread(target=self._work, args=(waiting, slot), daemon=True)
            for slot in self.slots * self.abreast
        ]
        with _terminated_as_interrupted(), ExitStack() as stack:
            self._say = stack.enter_context(shown(self._live, sys.stdout.isatty()))
            for gpu, trials in Counter(self.slots).items():
                self._turns[gpu] = Turns(trials)
                stack.callback(self._turns[gpu].close)
            try:
                for thread in threads:
                    thread.start()
                while any(thread.is_alive() for thread in threads):
                    time.sleep(0.2)
            except KeyboardInterrupt:
                self._stop(threads)
                raise

    def _again(self, code: int) -> bool:
        return self.sweep.retry_failed and code != 0

    def _work(self, waiting: deque[Arm], gpu: int | None) -> None:
        while not self._stopping.is_set():
            arm = self._next(waiting, gpu)
            if arm is None:
                return
            self._session(arm, gpu)

    def _next(self, waiting: deque[Arm], gpu: int | None) -> Arm | None:
        """The first waiting arm that is not bound to another GPU."""
        with self._lock:
            bound = self.record.gpus()
            known = [slot for slot in self.slots if slot is not None]
            for arm in waiting:
                if gpu is None or bound.get(arm.name, gpu) == gpu or bound[arm.name] not in known:
                    waiting.remove(arm)
                    return arm
        return None

    def _session(self, arm: Arm, gpu: int | None) -> None:
        place = f"{self._position(arm)} {arm.label}"
        folder = self.sweep.folder / arm.name
        folder.mkdir(exist_ok=True)
        with self._lock:
            self.record.add("arm_started", arm=arm.name, gpu=gpu)
            self._tell(f"{place}: started")
        self._live.set(arm.name, "under way")
        started = time.monotonic()
        code = self._finished(arm, folder, gpu)
        if self._stopping.is_set() or code == _INTERRUPTED:
            return
        error = "" if code == 0 else _last_line(folder / "output.log")
        with self._lock:
            seconds = round(time.monotonic() - started, 1)
            self.record.add("arm_ended", arm=arm.name, code=code, seconds=seconds, error=error)
            self._tell(f"{place}: {_outcome(folder) if code == 0 else f'FAILED ({code}): {error}'}")
        self._live.set(arm.name, "ended" if code == 0 else "FAILED")

    def _tell(self, text: str) -> None:
        self._say(_stamped(text))

    def _finished(self, arm: Arm, folder: Path, gpu: int | None) -> int:
        """The session's exit code. Waits for a session that an earlier sweep left behind to end."""
        waited = time.monotonic() + 2 * _PATIENCE_SECONDS
        while True:
            code = self._process(arm, folder, gpu)
            if code != EXIT_IN_USE or time.monotonic() > waited or self._stopping.is_set():
                return code
            time.sleep(2)

    def _process(self, arm: Arm, folder: Path, gpu: int | None) -> int:
        arguments = [*arm.arguments, f'session.folder="{folder}"']
        named = arm.name in self.several or any(one.startswith("executor.gpu=") for one in arguments)
        if gpu is not None and not named:
            arguments.append(f"executor.gpu={gpu}")
        with (folder / "output.log").open("ab") as log, self._lock:
            if self._stopping.is_set():
                return _INTERRUPTED
            process = subprocess.Popen(
                [*self.command, str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its sessions
                env={**os.environ, IN_SWEEP: self.sweep.folder.name, **self._turns_for(arm, gpu)},
            )
            self._processes.add(process)
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return code

    def _turns_for(self, arm: Arm, gpu: int | None) -> dict[str, str]:
        """Where it asks for its turns."""
        cards = {card_variable(card): turns.path for card, turns in self._turns.items() if card is not None}
        return {VARIABLE: self._turns[gpu].path, **(cards if arm.name in self.several else {})}

    def _position(self, arm: Arm) -> str:
        return f"[{self.sweep.arms.index(arm) + 1}/{len(self.sweep.arms)}]"

    def _stop(self, threads: list[threading.Thread]) -> None:
        """Every session ends as after Ctrl-C, or is killed when it does not."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            for process in self._processes:
                process.send_signal(number)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a sweep as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        own_folder(folder)
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise UserError(f"the sweep {folder} is going on in another process") from None
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"cannot use {folder} as a sweep's folder: {error.strerror}") from None


def trial_places(
    profiles: Sequence[Profile], gpus: Sequence[int], slots: int | None = None
) -> list[int | None]:
    """Where trials may run at the same time: a GPU each, or None; slots: how many, if somebody says.

    Raises UserError when trials on a wall clock would share a GPU: they would slow each other, and no machine probe
    sees what both of them feel.
    """
    if not gpus or not any(profile.gpu for profile in profiles):
        return [None] * (slots or max(1, (os.cpu_count() or 1) // 2))
    timed = any(each.gpu and each.clock == "wall" and not (each.steps or each.tokens) for each in profiles)
    if slots and slots > len(gpus) and timed:
        raise UserError(
            f"sweep.slots={slots}: there {'is 1 GPU' if len(gpus) == 1 else f'are {len(gpus)} GPUs'}, and timed "
            "trials that share one slow each other; leave it out, or give fixed work: budget.steps=N"
        )
    return [gpus[slot % len(gpus)] for slot in range(slots or len(gpus))]


def _slots_elsewhere(config: Mapping[str, Any]) -> int | None:
    """How many trials of an arm a queue or cluster may have at a time; None where they are made on this machine."""
    executor = config["executor"]
    if str(executor.get("_target_", "")).startswith("harness.trial."):
        return None
    return int(executor.get("slots") or 1)


def _on_several(sweep: Sweep, setups: Sequence[Setup]) -> frozenset[str]:
    """Names of arms whose trials are made on several cards of this machine."""
    return frozenset(
        arm.name
        for arm, setup in zip(sweep.arms, setups, strict=True)
        if setup.config["executor"].get("gpus") is not None
    )


def _abreast(arms: int, slots: int) -> int:
    """Sessions a slot when nobody says: what the arms need and the memory has room for, four at most."""
    room = int(memory_bytes() / (1 << 30) / slots / _SESSION_GIB)
    return max(1, min(math.ceil(arms / slots), room, _MOST_ABREAST))


def _outcome(folder: Path) -> str:
    """What became of a session, in a line."""
    found = session_folders(folder)
    if not found:
        return "ended without a session"
    session = SessionRecord(Tail(found[-1] / LEDGER).rows())
    kept = f"{len(session.keeps)} of {len(session.decided)} proposals kept"
    gain = session.certificate.gain if session.certificate else None
    return f"{kept}, certified gain {signed(gain)}" if gain is not None else kept


def _last_line(file: Path) -> str:
    text = file.read_text(encoding="utf-8", errors="replace")[-4000:] if file.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1], 300) if lines else ""


def _stamped(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} {one_line(text, 400)}"


def _say(text: str) -> None:
    print(_stamped(text), flush=True)
