"""A session's folder, open: lock, secret, ledger, repository and trial_runner, for whatever measures in it."""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness import __version__
from harness.config.setup import SESSION_LIMITS, UNJUDGING, WHERE, Setup
from harness.errors import FolderInUse, UserError
from harness.keep import warm_start
from harness.ledger.chain import is_file
from harness.ledger.interruption import ended_by_signals
from harness.ledger.own_folder import own_folder
from harness.ledger.plain import to_json
from harness.ledger.reading import LEDGER, Tail
from harness.ledger.rows import SessionEndedRow, SessionResumedRow, SessionStartedRow
from harness.ledger.session_record import SessionRecord, opened
from harness.ledger.tracker import Tracker
from harness.ledger.workspace import Workspace
from harness.protocols import Evaluator, Executor
from harness.records import Files, TrialSpec
from harness.sandbox.machine import machine
from harness.sandbox.open import Sandbox
from harness.scoring.evaluator import SandboxEvaluator
from harness.session.sitting import Sitting
from harness.session.trial_runner import TrialRunner
from harness.slots.node import least_level
from harness.slots.order import Elsewhere, Slots
from harness.slots.parcel import Kit
from harness.slots.this_machine import Parts, fixed_work, side_by_side
from harness.task.imports import early_imports
from harness.task.prepare import prepared
from harness.task.secret import kept_secret
from harness.task.shuffled_control import shuffled
from harness.task.task import GIVE_A_REASON, Profile, Task, TaskData
from harness.trial.machine_probe import GpuProbe, HostProbe, MachineProbe, Unwatched

LOCK_NAME = "lock"
SECRET_NAME = "secret"
_NO_DIFFERENCE = {"session", "tracking", "program", "task.folder"} | {
    f"budget.{name}" for name in SESSION_LIMITS
}
_NO_DIFFERENCE |= {f"executor.{name}" for name in WHERE}


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Open parts. resumed: whether the folder held rows before."""

    folder: Path
    trial_runner: TrialRunner
    workspace: Workspace
    sandbox: Sandbox
    profile: Profile
    resumed: bool


def session_folder(setup: Setup) -> Path:
    """Where this configuration's session lies: its tag, or its parts and the start of its fingerprint."""
    return Path(setup.session.folder) / session_tag(setup)


def session_tag(setup: Setup) -> str:
    if setup.session.tag is not None:
        return str(setup.session.tag)
    repeat = f"-r{setup.repeat}" if setup.repeat else ""
    return f"{setup.choices['task']}-{setup.choices['agent']}-{setup.fingerprint[:8]}{repeat}"


def has_ended(folder: Path) -> bool:
    """Whether the folder holds a session that has ended, as far as its rows can be read."""
    turns = (SessionStartedRow, SessionResumedRow, SessionEndedRow)
    rows = [row for row in Tail(folder / LEDGER).rows() if isinstance(row, turns)]
    return isinstance(rows[-1], SessionEndedRow) if rows else False


@contextmanager
def open_session(
    setup: Setup,
    folder: Path,
    trackers: Sequence[Tracker],
    files_of: Callable[[str], Files] | None = None,
) -> Iterator[OpenSession]:
    """Opens the folder, makes what is missing, and checks that what is there belongs to this configuration.

    files_of: of a trial's commit, where the folder's repository does not hold it.
    Raises UserError when a GPU is missing, a new session's task shows how its data are held out, another process has
    it open or it holds another session, LedgerError when it is damaged, SandboxUnavailable when the asked-for isolation
    cannot be had.
    """
    _check_begun(setup.task, folder)
    profile = setup.budget.trial_profile(setup.task)
    setup.executor.device(profile)  # raises where there is none, before data are fetched
    data = prepared(setup.task, setup.budget.profile, choices=setup.data)
    with ExitStack() as stack:
        stack.enter_context(_locked(folder))
        stack.enter_context(ended_by_signals())
        ledger, session = opened(folder)
        stack.callback(ledger.close)
        sitting = stack.enter_context(Sitting(folder, lambda: ledger.failed))
        workspace = Workspace(folder, session_tag(setup), new=not session.length)
        stack.callback(workspace.close)
        _check_whole(session, workspace, folder, elsewhere=files_of is not None)
        check_same(session, setup, folder, workspace.files)
        sandbox = setup.open_sandbox()
        stack.callback(sandbox.close)
        quiet = threading.Lock()
        slots = _slots(setup, sandbox, data, profile, folder, quiet)
        executor, evaluator, machine_probe = _one_at_a_time(
            setup, sandbox, data, profile, folder, stack, slots
        )
        for tracker in trackers:
            stack.callback(tracker.close)
            tracker.open(folder, session)
        trial_runner = TrialRunner(
            task=setup.task,
            data=data,
            profile=profile,
            folder=folder,
            ledger=ledger,
            state=session,
            trackers=tuple(trackers),
            executor=executor,
            evaluator=evaluator,
            secret=kept_secret(folder / SECRET_NAME),
            machine_probe=machine_probe,
            quiet=quiet,
            start_ahead=_start_ahead(executor, profile),
        )
        if slots is not None:
            stack.callback(slots.close)
            trial_runner.make_side_by_side(slots)
            stack.callback(trial_runner.end_ahead)
        bench = OpenSession(folder, trial_runner, workspace, sandbox, profile, resumed=bool(ledger.length))
        _begin(bench, setup, files_of or workspace.files, sitting.ended_in_order)
        sitting.settled()
        yield bench


def _check_whole(session: SessionRecord, workspace: Workspace, folder: Path, elsewhere: bool) -> None:
    """Raises LedgerError where the repository lacks commits that rows need, UserError where it is there without rows.

    elsewhere: whether those of trials lie in another one.
    """
    if session.length:
        workspace.expect([session.baseline] if elsewhere else session.needed_commits)
    elif workspace.holds_proposals():
        raise UserError(
            f"{folder} holds the repository of a session, but no row of its ledger; "
            f"put {LEDGER} back, or choose another session.tag"
        )


def _slots(
    setup: Setup, sandbox: Sandbox, data: TaskData, profile: Profile, folder: Path, quiet: threading.Lock
) -> Slots | None:
    """Where trials are made side by side; None for one at a time."""
    kind, placebo = setup.executor, _placebo(setup, data, folder)
    if hasattr(kind, "open_slots"):
        if setup.early_stop.after < 1:
            raise UserError("early_stop watches trials of this machine only; leave early_stop.after=1")
        slots: Slots = kind.open_slots(kit_of(setup, data, profile, placebo), folder.resolve())
        return slots
    if not hasattr(kind, "cards"):
        return None  # an executor of somebody's own
    cards = kind.cards(profile)
    if len(cards) == 1:
        return None
    return side_by_side(
        Parts(kind, sandbox, setup.task, data, profile, folder, setup.scoring, placebo, quiet), cards
    )


def kit_of(setup: Setup, data: TaskData, profile: Profile, placebo: Path | None) -> Kit:
    """What a node must know to make this configuration's trials."""
    sandbox, kind = setup.config["sandbox"], setup.executor
    return Kit(
        task=setup.task,
        profile_name=setup.budget.profile,
        profile=profile,
        scoring=setup.scoring,
        public=str(data.public.resolve()),
        private=str(data.private.resolve()),
        placebo=str(placebo.resolve()) if placebo else None,
        salted_seeding=kind.salted_seeding,
        reordering=kind.reordering,
        level=str(sandbox["level"]),
        least_level=least_level(str(sandbox["level"])),
        allow_unsafe=bool(sandbox["allow_unsafe"]),
    )


def _one_at_a_time(
    setup: Setup,
    sandbox: Sandbox,
    data: TaskData,
    profile: Profile,
    folder: Path,
    stack: ExitStack,
    slots: Slots | None,
) -> tuple[Executor, Evaluator, MachineProbe]:
    """What makes trials here, one after the other; nothing is opened where they are made side by side."""
    if slots is not None:
        return Elsewhere(), Elsewhere(), Unwatched()
    gpu = setup.executor.device(profile)
    executor = setup.executor.open(sandbox, setup.task, data, profile, folder, _placebo(setup, data, folder))
    stack.callback(executor.close)
    evaluator = SandboxEvaluator(sandbox, setup.task, data, profile, folder, setup.scoring, gpu)
    stack.callback(evaluator.close)
    if gpu is None and hasattr(executor, "hold_gate_until"):  # a GPU is looked at before each trial, and idle then
        executor.hold_gate_until(evaluator.overlap(partial(_import_for_certificate, setup)))
    machine_probe: MachineProbe = (
        HostProbe(pulse=not fixed_work(profile)) if gpu is None or not profile.gpu else GpuProbe(gpu)
    )
    stack.callback(machine_probe.close)
    return executor, evaluator, machine_probe


def _start_ahead(executor: Executor, profile: Profile) -> Callable[[TrialSpec, Files], None] | None:
    """Where a start-up beside a score costs neither the score nor a trial any billed time: see SandboxEvaluator."""
    if profile.clock != "cpu" or profile.gpu or not hasattr(executor, "hold_gate_until"):
        return None
    starts: Callable[[TrialSpec, Files], None] | None = getattr(executor, "start_ahead", None)
    return starts


def _import_for_certificate(setup: Setup) -> None:
    """What its intervals need takes a second to import: made use of while an interpreter with torch is waited for."""
    if setup.budget.certificate and "torch" in early_imports(setup.task):
        with suppress(ImportError):
            importlib.import_module("scipy.stats")


def _check_begun(task: Task, folder: Path) -> None:
    """Raises UserError where a session would begin with a task that shows what it need not; one that began goes on."""
    if (wrong := task.shown_without_reason) and not Tail(folder / LEDGER).rows():
        raise UserError(f"task {task.name}: {wrong}; {GIVE_A_REASON}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        own_folder(folder)
        if (folder / LOCK_NAME).exists():
            is_file(folder / LOCK_NAME)
        with FileLock(folder / LOCK_NAME, timeout=0):
            yield
    except Timeout:
        raise FolderInUse(
            f"{folder} is in use by another process; wait for it, or choose another session.tag"
        ) from None
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        if error.filename and str(folder).startswith(str(error.filename)):
            raise UserError(f"cannot use {folder} as a session's folder: {error.strerror}") from None
        raise


def _placebo(setup: Setup, data: TaskData, folder: Path) -> Path | None:
    """Shuffled training data, where the configuration asks for the placebo check."""
    if not setup.promotion.placebo:
        return None
    made = shuffled(setup.task, data, folder, seed=0)
    if made is None:
        raise UserError(f"task {setup.task.name} has no placebo() in prepare.py; set promotion.placebo=false")
    return made


def _begin(
    bench: OpenSession, setup: Setup, files_of: Callable[[str], Files], ended_in_order: bool
) -> None:
    """The first row of a new session, or what a restart has to put in order."""
    trial_runner, task = bench.trial_runner, setup.task
    level, certified = bench.sandbox.level, bench.sandbox.certified
    if not bench.resumed:
        row = SessionStartedRow(
            version=__version__,
            task=task.name,
            agent=setup.choices["agent"],
            choices=dict(setup.choices),
            config=_plain(setup.config),
            arguments=list(setup.arguments),
            own_code=dict(setup.own_code),
            fingerprint=setup.fingerprint,
            metric=task.metric,
            direction=task.direction,
            unit=task.unit,
            editable=list(task.editable),
            references=dict(task.references),
            program=setup.program,
            machine=machine(),
            findings=_plain(bench.sandbox.findings),
            level=level,
            certified=certified,
            baseline_commit=bench.workspace.start(task.source()),
            prior=warm_start.prior(noise_key(bench), str(bench.folder.resolve())),
        )
        trial_runner.record(row)
        return
    interrupted = list(trial_runner.state.under_way)
    trial_runner.record(
        SessionResumedRow(machine=machine(), interrupted=interrupted, level=level, certified=certified)
    )
    if wrong := task.shown_without_reason:
        trial_runner.notice(f"task {task.name}: {wrong}; no new session may, this one goes on as it began")
    trial_runner.settle(files_of, ended_in_order)


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    plain = to_json(mapping)
    assert isinstance(plain, dict)
    return plain


def noise_key(bench: OpenSession) -> str:
    """What sessions must have in common to share what they know of noise."""
    return warm_start.key(bench.trial_runner.task, bench.profile)


def check_same(session: SessionRecord, setup: Setup, folder: Path, files_of: Callable[[str], Files]) -> None:
    """Raises UserError when the rows belong to another configuration, and says what differs.

    The fingerprint of another build differs in any case: then what it was made of is compared. A program of ours that
    this build words otherwise is no difference: a session goes on with the words that it began with.
    """
    if not session.length or session.started.fingerprint == setup.fingerprint:
        return
    before, now = session.started.own_code, setup.own_code
    changed = sorted(_differences(session.started.config, setup.config))
    changed += sorted(
        f"the file of {key}"
        for key in before
        if now.get(key) != before[key] and not key.startswith(UNJUDGING)
    )
    if not changed and session.of_older_build:
        changed = _changed_files(files_of(session.baseline), setup.task.source())
        changed += (
            ["program"] if session.started.program != setup.program and not _ours(session, setup) else []
        )
        if not changed:
            return
    what = (
        ", ".join([*_other_choices(session, setup, changed), *changed][:5])
        or "the task's files or the program"
    )
    raise UserError(
        f"{folder} holds a session of another configuration (different: {what}); choose another session.tag"
    )


def _other_choices(session: SessionRecord, setup: Setup, changed: Sequence[str]) -> list[str]:
    """Groups in which something changed because another choice was made: said before the keys that follow from it."""
    return [
        f"{group}: {before}, now {now}"
        for group, before in session.started.choices.items()
        if (now := setup.choices.get(group, before)) != before
        and any(key.startswith(f"{group}.") for key in changed)
    ]


def _ours(session: SessionRecord, setup: Setup) -> bool:
    """Whether both programs are the one of ours that goes by one name, which builds word differently."""
    same = session.started.choices.get("program") == setup.choices["program"]
    return (
        same and session.started.config["program"].get("path") is setup.config["program"].get("path") is None
    )


def _changed_files(before: Files, now: Files) -> list[str]:
    return sorted(name for name in before.keys() & now.keys() if before[name] != now[name])


def _differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Keys of `one` with another value in `other`. Names of our own classes and keys that a newer build added are
    no difference; where the task's folder lies, what a session is called and when it ends are none either.
    """
    for key in one:
        first, second, name = one[key], other.get(key), f"{prefix}{key}"
        if key == "_target_" or name in _NO_DIFFERENCE:
            continue
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _differences(first, second, f"{name}.")
        elif first != second:
            yield name
