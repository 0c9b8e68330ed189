"""`executor=slurm`: a trial and its scoring are one job of a Slurm cluster, submitted through submitit.

The harness runs where jobs are submitted and needs no GPU. Only submitit's submission is used: what a job found comes
back as a checked file, and the pickles that submitit leaves behind are never read.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError, UserError
from harness.slots.elsewhere import SAFE_VARIABLES, NotNow, RemoteSlots, State, job_name, safe_environment
from harness.slots.node import main
from harness.slots.order import Order
from harness.slots.parcel import Kit
from harness.task.task import Profile

_ID = "slurm_id"
_PATIENCE_SECONDS = 30.0
_AGAIN_SECONDS = 5.0
_LOG_CHARACTERS = 600
_SILENT = (
    "Unable to contact slurm controller", "Connection refused", "Socket timed out", "Zero Bytes were transmitted",
    "temporarily unavailable", "Transport endpoint",
)  # fmt: skip
_EXTRA_GIB = 2.0  # beside a trial's own memory: the referee's agent and its predictors
_EXTRA_MINUTES = 10  # beside a trial's own time: start, scoring, a loaded file system
# A job that waits for one of these waits for ever, unless somebody changes Slurm's configuration.
_NEVER = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|BadConstraints|Invalid(Account|QOS)|NotAllowed|QOSTimeLimit"
    r"|Max\w*PerJob|AccountingPolicy"
)
_USUAL = ("None", "Priority", "Resources", "JobArrayTaskLimit", "Prolog", "BeginTime", "Cleaning", "Licenses")
_ENDED = {
    "CANCELLED": "cancelled", "PREEMPTED": "preempted", "TIMEOUT": "time_limit", "NODE_FAIL": "node_failed",
    "OUT_OF_MEMORY": "out_of_memory", "FAILED": "failed", "BOOT_FAIL": "node_failed", "DEADLINE": "time_limit",
    "COMPLETED": "no_answer",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slurm:
    """slots: jobs under way at a time. minutes, memory_gib, cpus: of a job; None: what the profile needs and some more.

    array: jobs that are submitted as one array at most. setup: shell lines before the referee's agent starts there.
    more: further options of sbatch, e.g. {constraint: h100}. salted_seeding, reordering: see Local.
    patience_seconds: how long a resumed session waits for Slurm's daemon before it ends, its jobs untouched.
    """

    slots: int = 4
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    minutes: int | None = None
    memory_gib: float | None = None
    cpus: int | None = None
    gpus: int | None = None
    array: int = 64
    setup: list[str] = field(default_factory=list)
    more: dict[str, str] = field(default_factory=dict)
    poll_seconds: float = 5.0
    patience_seconds: float = 300.0
    salted_seeding: bool = True
    reordering: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        if self.slots < 1 or self.array < 1 or not self.poll_seconds > 0:
            raise ValueError("slots, array and poll_seconds must be above 0")
        if self.patience_seconds < 0:
            raise ValueError("patience_seconds must not be negative")
        if self.minutes is not None and self.minutes < 1:
            raise ValueError("minutes must be at least 1")

    def device(self, _: Profile) -> None:
        """No GPU here, where the harness runs."""

    def open_slots(self, kit: Kit, folder: Path) -> RemoteSlots:
        """folder: the session's. Raises UserError where no Slurm is."""
        queue = Queue(self, kit.profile, folder)
        return RemoteSlots(
            kit, folder, queue, self.slots, self.poll_seconds, patience_seconds=self.patience_seconds
        )


class Queue:
    """Implements elsewhere.Transport."""

    def __init__(self, options: Slurm, profile: Profile, session: Path) -> None:
        """Raises UserError where no Slurm is."""
        try:
            from submitit import SlurmExecutor
        except ImportError:
            raise UserError('executor=slurm needs submitit: pip install "harness[slurm]"') from None
        self._name, self._options = job_name(session), options
        place = session.resolve() / "slots" / "slurm"
        try:
            self._executor = SlurmExecutor(folder=place, max_num_timeout=0)
        except RuntimeError:
            raise UserError(
                "executor=slurm: srun is not found here; run it where Slurm's jobs are submitted"
            ) from None
        self._avoided: list[str] = []
        self._not_ended: set[str] = set()  # ids of jobs that are to be cancelled
        self._silent_until = 0.0
        self._lost_track = False  # whether there may be jobs of ours whose id was never told
        self._session = session
        self._executor.update_parameters(**self._parameters(profile))

    def _parameters(self, profile: Profile) -> dict[str, Any]:
        """Raises UserError where no trial can be over within a job."""
        options = self._options
        _check_minutes(options.minutes, profile)
        seconds = profile.startup_seconds + (
            profile.seconds if profile.clock == "wall" else 10 * profile.seconds + 60
        )
        gib = options.memory_gib or profile.memory_gib + _EXTRA_GIB
        given = {"partition": options.partition, "account": options.account, "qos": options.qos}
        gpus = options.gpus if options.gpus is not None else int(profile.gpu)
        return {
            **{name: value for name, value in given.items() if value is not None},
            **({"gpus_per_node": gpus} if gpus else {}),
            "job_name": self._name,
            "time": options.minutes or int(seconds // 60) + _EXTRA_MINUTES,
            "cpus_per_task": options.cpus or profile.threads,
            "mem": f"{round(gib * 1024)}M",
            "setup": options.setup or None,
            "array_parallelism": options.slots,
            "stderr_to_stdout": True,
            "use_srun": False,
            "additional_parameters": {
                "no-requeue": True,  # what a node's failure took is asked for again by us, on the record
                "export": ",".join(name for name in SAFE_VARIABLES if name in os.environ),
                **options.more,
            },
        }

    @property
    def most(self) -> int:
        return self._options.array

    def send(self, orders: Sequence[tuple[Order, Path]]) -> None:
        from submitit.core.utils import FailedJobError

        self._end_again()
        folders = [folder for _, folder in orders]
        try:
            jobs = self._executor.map_array(work, [str(folder) for folder in folders])
        except (FailedJobError, OSError, RuntimeError) as error:
            said = _line(error)
            if _is_silence(error):
                self._lost_track = True  # it may have been taken all the same
                raise NotNow(f"sbatch: {said}") from error
            raise InfrastructureError(f"sbatch: {said}") from error
        try:
            for job, folder in zip(jobs, folders, strict=True):
                (folder / _ID).write_text(job.job_id)
        except OSError as error:  # a job without an id on record must not run
            self._not_ended |= {job.job_id for job in jobs}
            self._end_again()
            raise InfrastructureError(f"a job's id cannot be written: {error}") from error

    def states(self, folders: Mapping[str, Path]) -> Mapping[str, State]:
        known = self._in_queue()
        self._end_again()
        found = {}
        for order_id, folder in folders.items():
            number = _id_in(folder)
            if number and number in known:
                found[order_id] = self._waiting(number, known[number])
            elif number:
                found[order_id] = self._ended(number)
        return found

    def _in_queue(self) -> dict[str, str]:
        """This session's jobs that wait or run, and why they wait: by id; "" for those that run.

        Raises InfrastructureError while Slurm's daemon is silent.
        """
        shown = ("--noheader", "--array", "--me", "--name", self._name, "--format", "%i|%t|%r")
        lines = [line.strip().split("|", 2) for line in _asked("squeue", *shown).splitlines() if line.strip()]
        return {number: reason if state == "PD" else "" for number, state, reason in lines if state != "CG"}

    def _waiting(self, number: str, reason: str) -> State:
        if _NEVER.search(reason):
            self._not_ended.add(number)
            self._end_again()
            return State(over=True, reason="never_started", log=f"Slurm would let it wait for ever: {reason}")
        usual = not reason or reason.startswith(_USUAL)
        return State(waits="" if usual else f"a job waits in Slurm's queue: {reason}")

    def _ended(self, number: str) -> State:
        """Why it is no longer in the queue, as long as Slurm remembers.

        Raises InfrastructureError while Slurm's daemon is silent: that tells nothing of any job.
        """
        try:
            said = _asked("scontrol", "show", "job", number, "--oneliner")
        except InfrastructureError as error:
            if _is_silence(error):
                raise
            return State(over=True, reason="forgotten_by_slurm")
        states = re.findall(r"JobState=([A-Z_]+)", said)
        nodes = [name for name in re.findall(r"\bNodeList=(\S+)", said) if name != "(null)"]
        state = states[0] if states else ""
        if state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"):
            return State()
        reason = _ENDED.get(state, state.lower() or "unknown")
        return State(over=True, reason=reason, place=nodes[0] if nodes else "", log=self._why(reason, number))

    def _why(self, reason: str, number: str) -> str:
        """What people should know of a job that gave no answer."""
        if reason == "time_limit":
            return f"its {self._executor.parameters['time']} minutes were over: executor.minutes=N gives more"
        if reason not in ("failed", "no_answer"):
            return ""
        logs = sorted((self._session.resolve() / "slots" / "slurm").glob(f"{number}_*_log.out"))
        said = logs[0].read_text(errors="replace").strip() if logs else ""
        return " ".join(said.split())[-_LOG_CHARACTERS:] or "it wrote nothing: does its node see this folder?"

    def end(self, order_id: str, folder: Path) -> None:  # noqa: ARG002 -- the folder holds Slurm's id
        if number := _id_in(folder):
            self._not_ended.add(number)
            self._end_again()

    def _end_again(self) -> None:
        """Jobs that nobody wants any more: until Slurm has heard of it, and those that have no id on record, too.

        Raises NotNow while its daemon is silent.
        """
        if not (self._lost_track or self._not_ended):
            return
        if time.monotonic() < self._silent_until:
            raise NotNow("Slurm's daemon did not answer")
        try:
            if self._lost_track:
                own = {_id_in(each) for each in (self._session / "slots").iterdir() if each.is_dir()}
                self._not_ended |= self._in_queue().keys() - own
                self._lost_track = False
            for number in sorted(self._not_ended):
                _cancel(number)
                self._not_ended.discard(number)
        except InfrastructureError as error:
            self._silent_until = time.monotonic() + _AGAIN_SECONDS
            raise NotNow(str(error)) from error

    def find_again(self, order_id: str, folder: Path) -> bool:  # noqa: ARG002 -- the folder holds Slurm's id
        """One that was submitted in the very moment in which the harness died has no id on record: it is cancelled."""
        if _id_in(folder):
            return True
        self._lost_track = True
        self._end_again()
        return False

    def avoid(self, place: str) -> None:
        self._avoided.append(place)
        more = self._executor.parameters["additional_parameters"]
        own = self._options.more.get("exclude")
        more["exclude"] = ",".join([*([own] if own else []), *self._avoided])

    def kinds(self) -> dict[str, str]:
        """What nodes there are, in words, and the name of one of each kind that takes work."""
        said = _asked("sinfo", "--noheader", "--Node", "--format", "%N|%c|%m|%G|%P|%t", *self._partition())
        found: dict[str, str] = {}
        for line in said.splitlines():
            name, cores, memory, cards, partition, state = line.strip().split("|")
            if state.rstrip("*~#!%$@^-+") in ("idle", "mix", "alloc"):
                cards = "no GPU" if cards == "(null)" else cards
                kind = f"{partition.rstrip('*')}: {cores} cores, {int(memory) // 1024} GiB, {cards}"
                found.setdefault(kind, name)
        return found

    def _partition(self) -> list[str]:
        return ["--partition", self._options.partition] if self._options.partition else []

    def only_on(self, place: str) -> None:
        self._executor.parameters["nodelist"] = place

    def close(self) -> None:
        with contextlib.suppress(InfrastructureError):
            self._end_again()


def _check_minutes(minutes: int | None, profile: Profile) -> None:
    """Raises UserError where a trial alone takes longer than its job may."""
    timed = profile.steps is None and profile.tokens is None
    if minutes is not None and timed and 60 * minutes < profile.seconds:
        raise UserError(
            f"executor.minutes={minutes}: a trial of this profile takes {profile.seconds:g} s from its gate on, and "
            "start-up and scoring belong to its job, too"
        )


def work(folder: str) -> int:
    """In the job: submitit's own handlers would hold back what Slurm says with its signals."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return main([folder])


def _id_in(folder: Path) -> str:
    try:
        return (folder / _ID).read_text().strip()
    except OSError:
        return ""


def _cancel(number: str) -> None:
    """Raises InfrastructureError only where it may still be at work: what is over already needs nothing."""
    try:
        _asked("scancel", number)
    except InfrastructureError as error:
        if _is_silence(error):
            raise


def _is_silence(error: Exception) -> bool:
    """Whether Slurm's daemon did not answer; what it refuses, it has answered."""
    return any(word in str(error) for word in (*_SILENT, "timed out"))


def _asked(*command: str) -> str:
    """What a command of Slurm's says. Raises InfrastructureError in its own words."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True, env=_environment()
        )
    except subprocess.CalledProcessError as error:
        raise InfrastructureError(f"{command[0]}: {_line(error.stderr)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfrastructureError(f"{command[0]}: {_line(error)}") from error
    return done.stdout


def _environment() -> dict[str, str]:
    return {
        **safe_environment(),
        **{name: value for name, value in os.environ.items() if name.startswith("SLURM_")},
    }


def _line(said: object) -> str:
    return " ".join(str(said).split())[:300]
