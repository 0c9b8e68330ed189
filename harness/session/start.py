"""From a configuration to a finished session: starts or resumes what `python -m harness` asks for."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.agents.context import AgentContext
from harness.agents.prefetch import Prefetch
from harness.config.setup import Setup
from harness.config.target import place_of
from harness.errors import HarnessError, UserError, refusal
from harness.keep import warm_start
from harness.keep.planning import plan
from harness.ledger.interruption import HOW_IS_SAID, ended_by_signals
from harness.ledger.rows import AgentSpentRow
from harness.protocols import Agent
from harness.records import EndCause, Usage
from harness.report.terminal.tracker import Terminal
from harness.session import evidence
from harness.session.folder import OpenSession, has_ended, noise_key, open_session, session_folder
from harness.session.forecast import Forecast
from harness.session.intake import Intake, agent_seed
from harness.session.limits import LimitReached, SessionLimits
from harness.session.referee import Referee
from harness.session.session import Session
from harness.task.task import Task

EXIT_AGENT_FAILED = 1
_AGENTS_FAULT = (EndCause.AGENT_FAILED, EndCause.UNUSABLE_PROPOSALS)


def start(setup: Setup) -> int:
    """Run, or go on with, the configuration's session until it ends; 0, or 1 when its agent could not go on.

    An agent's login is tried before data are fetched and a baseline is measured. Raises HarnessError.
    """
    folder = session_folder(setup)
    trackers = (Terminal(), setup.tracking)
    ended = has_ended(folder)
    if not ended:
        _try_login(setup.agent)
    with (
        ended_by_signals(),
        ended_in_a_line(folder, setup.own_files),
        open_session(setup, folder, trackers) as bench,
    ):
        limits = SessionLimits(setup.budget, bench.profile, setup.keep.settling_trials)
        try:
            if not _is_over(bench, limits):
                if ended:
                    _try_login(setup.agent)
                _run(setup, bench, limits)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(HOW_IS_SAID) from None  # by the terminal, when the session is closed
        end = bench.trial_runner.state.ended
    return EXIT_AGENT_FAILED if end is not None and end.cause in _AGENTS_FAULT else 0


def _try_login(agent: Agent) -> None:
    """Agents that need a login say at once, in the provider's words, when it does not work. Raises UserError."""
    if hasattr(agent, "check"):
        agent.check()


@contextmanager
def ended_in_a_line(folder: Path, own_files: Mapping[str, Path] | None = None) -> Iterator[None]:
    """What the disk refuses is the machine's fault, what a part of the user's own raises is the user's: each is said
    in a line. own_files: key of such a part -> its file. Raises HarnessError for them.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if key := _own_part(own_files or {}, error):
            raise UserError(
                f"{key} failed: {place_of(error)}; nothing is lost, the same command goes on ({folder})"
            ) from error
        if isinstance(error, OSError):
            raise refusal(error, folder) from error
        raise


def _own_part(own_files: Mapping[str, Path], error: BaseException) -> str:
    """The key of the user's own part that raised the error, or had it raised; "" if it was none."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return next((key for key, file in own_files.items() if file in files), "")


def _run(setup: Setup, bench: OpenSession, limits: SessionLimits) -> None:
    _open_agent(setup.agent, setup, bench, limits)
    trial_runner = bench.trial_runner
    proposer = Prefetch(
        setup.agent,
        slots=trial_runner.slots,
        seed_of=partial(agent_seed, trial_runner.secret) if trial_runner.side_by_side else None,
    )
    try:
        program = bench.trial_runner.state.started.program
        intake = Intake(bench.trial_runner, bench.workspace, proposer, limits, program)
        referee = Referee(bench.trial_runner, intake, setup.guards, setup.keep, limits, setup.promotion)
        referee.stop_for = setup.early_stop.stop_for
        if trial_runner.side_by_side:
            trial_runner.side_by_side.forecast = Forecast(referee, proposer)
        session = Session(bench.trial_runner, bench.workspace, intake, referee, limits)
        session.synchronise()
        if not bench.resumed:
            _say_plan(setup, bench)
        session.run()
        _remember_noise(bench)
    finally:
        proposer.close()
        if (told := proposer.account()) and not bench.trial_runner.ledger.failed:
            bench.trial_runner.notice(told)
        if proposer.unused != Usage():
            bench.trial_runner.record(AgentSpentRow(usage=proposer.unused))


def _say_plan(setup: Setup, bench: OpenSession) -> None:
    """What can be seen and what it will take, on the record before the first trial."""
    budget, prior = setup.budget, bench.trial_runner.state.prior
    for line in plan(
        setup.keep,
        bench.profile.seconds,
        hours=budget.hours,
        trials=budget.trials,
        proposals=budget.proposals,
        certificate=budget.certificate,
        sd=prior[0] if prior else None,
        unit=setup.task.unit,
    ):
        bench.trial_runner.notice(line)


def _remember_noise(bench: OpenSession) -> None:
    """For the next session of this task, budget and machine."""
    level = evidence.noise(bench.trial_runner.state)
    if level is not None:
        warm_start.remember(noise_key(bench), str(bench.folder.resolve()), level)


def _is_over(bench: OpenSession, limits: SessionLimits) -> bool:
    """Whether the session has ended and nothing lets it go on: then its end is only shown again."""
    ended = bench.trial_runner.state.ended
    if ended is None:
        return False
    try:
        limits.check_proposal(bench.trial_runner.state)
    except LimitReached:
        return True
    return ended.cause is EndCause.AGENT_FINISHED


def _open_agent(agent: Agent, setup: Setup, bench: OpenSession, limits: SessionLimits) -> None:
    """Agents that need more than the view (a sandbox for smoke tests, scratch space) get it once."""
    if hasattr(agent, "open"):
        folder = bench.folder / "agent"
        folder.mkdir(exist_ok=True)
        trial_runner = bench.trial_runner
        context = AgentContext(
            sandbox=bench.sandbox,
            task=setup.task,
            data=trial_runner.data,
            profile=bench.profile,
            folder=folder,
            limits=bench.profile.limits(),
            spent=trial_runner.state.usage,
            dollars=setup.budget.dollars,
            tokens=setup.budget.tokens,
            seconds_left=lambda: limits.seconds_left(trial_runner.state),
            quiet=trial_runner.quiet,
            gpu=setup.executor.device(bench.profile),
            baseline=_baseline(setup.task, bench),
        )
        agent.open(context)


def _baseline(task: Task, bench: OpenSession) -> dict[str, bytes]:
    """The editable files of the session's unmodified program."""
    files = bench.workspace.files(bench.trial_runner.state.baseline)
    return {name: files[name] for name in task.editable if name in files}
