"""A session's folder, open: lock, secret, ledger, repository and trial_runner, for whatever measures in it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.config.setup import Setup
from harness.errors import UserError
from harness.keep import warm_start
from harness.ledger.chain import Ledger, Row
from harness.ledger.rows import to_json
from harness.ledger.state import folded
from harness.ledger.workspace import Workspace
from harness.protocols import Tracker
from harness.sandbox.machine import machine
from harness.sandbox.open import Sandbox
from harness.scoring.evaluator import SandboxEvaluator
from harness.session.trial_runner import TrialRunner
from harness.task.prepare import prepared
from harness.task.shuffled_control import shuffled
from harness.task.task import Profile, TaskData
from harness.trial.machine_probe import GpuProbe, HostProbe, MachineProbe
from harness.trial.seeds import new_secret

LOCK_NAME = "lock"
SECRET_NAME = "secret"


@dataclass(frozen=True, slots=True)
class Bench:
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


@contextmanager
def open_bench(setup: Setup, folder: Path, trackers: Sequence[Tracker]) -> Iterator[Bench]:
    """Opens the folder, makes what is missing, and checks that what is there belongs to this configuration.

    Raises UserError when a GPU is missing, another process has it open or it holds another session, LedgerError
    when it is damaged, SandboxUnavailable when the asked-for isolation cannot be had.
    """
    profile = setup.budget.trial_profile(setup.task)
    gpu = setup.executor.device(profile)
    data = prepared(setup.task, setup.budget.profile)
    with ExitStack() as stack:
        stack.enter_context(_locked(folder))
        ledger = Ledger(folder)
        stack.callback(ledger.close)
        check_same(ledger.rows, setup, folder)
        workspace = Workspace(folder, session_tag(setup))
        stack.callback(workspace.close)
        sandbox = setup.open_sandbox()
        stack.callback(sandbox.close)
        executor = setup.executor.open(
            sandbox, setup.task, data, profile, folder, _placebo(setup, data, folder)
        )
        stack.callback(executor.close)
        evaluator = SandboxEvaluator(sandbox, setup.task, data, profile, folder, setup.scoring, gpu)
        stack.callback(evaluator.close)
        canary: MachineProbe = HostProbe() if gpu is None or not profile.gpu else GpuProbe(gpu)
        stack.callback(canary.close)
        for tracker in trackers:
            stack.callback(tracker.close)
            tracker.open(folder, list(ledger.rows))
        trial_runner = TrialRunner(
            task=setup.task,
            data=data,
            profile=profile,
            folder=folder,
            ledger=ledger,
            state=folded(ledger.rows),
            trackers=tuple(trackers),
            executor=executor,
            evaluator=evaluator,
            secret=_secret(folder),
            canary=canary,
        )
        bench = Bench(folder, trial_runner, workspace, sandbox, profile, resumed=bool(ledger.rows))
        _begin(bench, setup)
        yield bench


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK_NAME, timeout=0):
            yield
    except Timeout:
        raise UserError(
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


def _secret(folder: Path) -> bytes:
    """What seeds are made of: written once, readable by the owner alone."""
    path = folder / SECRET_NAME
    if not path.exists():
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(new_secret())
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)
    return path.read_bytes()


def _begin(bench: Bench, setup: Setup) -> None:
    """The first row of a new session, or what a restart has to put in order."""
    trial_runner, task = bench.trial_runner, setup.task
    isolation = {"level": int(bench.sandbox.level), "certified": bench.sandbox.certified}
    if not bench.resumed:
        trial_runner.record(
            "session_started",
            version=machine()["harness"],
            task=task.name,
            agent=setup.choices["agent"],
            choices=to_json(setup.choices),
            config=to_json(setup.config),
            arguments=list(setup.arguments),
            fingerprint=setup.fingerprint,
            metric=task.metric,
            direction=task.direction.value,
            unit=task.unit,
            editable=list(task.editable),
            references=to_json(task.references),
            program=setup.program,
            machine=machine(),
            findings=to_json(bench.sandbox.findings),
            baseline_commit=bench.workspace.start(task.source()),
            prior=to_json(warm_start.prior(noise_key(bench), str(bench.folder.resolve()))),
            **isolation,
        )
        return
    interrupted = trial_runner.settle(bench.workspace.files)
    trial_runner.record("session_resumed", machine=machine(), interrupted=to_json(interrupted), **isolation)


def noise_key(bench: Bench) -> str:
    """What sessions must have in common to share what they know of noise."""
    return warm_start.key(bench.trial_runner.task, bench.profile)


def check_same(rows: Sequence[Row], setup: Setup, folder: Path) -> None:
    """Raises UserError when the rows belong to another configuration, and says what differs."""
    if not rows or rows[0].get("fingerprint") == setup.fingerprint:
        return
    changed = sorted(_differences(rows[0].get("config") or {}, setup.config))
    what = ", ".join(changed[:5]) or "the task's files or the program"
    raise UserError(
        f"{folder} holds a session of another configuration (different: {what}); choose another session.tag"
    )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in one.keys() | other.keys():
        first, second, name = one.get(key), other.get(key), f"{prefix}{key}"
        if name in ("session", "tracking"):
            continue
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _differences(first, second, f"{name}.")
        elif first != second:
            yield name
