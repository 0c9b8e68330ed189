"""Earlier sessions: the configuration that one began with, and its folder open for measurements on demand."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.ledger import lookup
from harness.ledger.reading import LEDGER, Tail
from harness.ledger.rows import SessionEndedRow, SessionStartedRow
from harness.ledger.session_record import SessionRecord
from harness.ledger.session_record import load as load_session

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.session.folder import OpenSession


def as_begun(setup: "Setup", folder: Path) -> "Setup":
    """`setup`, or what an older build's session in `folder` began with, where another choice is our default today.

    Only groups that the arguments leave open are filled in, and it is said which. Raises UserError for a choice that
    is gone.
    """
    from harness.config.setup import load

    started = next(iter(Tail(folder / LEDGER).rows()), None)
    if not isinstance(started, SessionStartedRow) or not started.of_older_build:
        return setup
    named = {argument.partition("=")[0] for argument in setup.arguments}
    now = setup.choices
    other = {group: choice for group, choice in started.choices.items() if now.get(group, choice) != choice}
    earlier = [f"{group}={choice}" for group, choice in other.items() if group not in named]
    if not earlier or started.choices.get("preset") != now["preset"]:
        return setup
    print(
        f"{folder} began with {' '.join(earlier)}, no longer the default; it goes on with that",
        file=sys.stderr,
    )
    return load([*setup.arguments, *earlier])


@contextmanager
def reopened(
    folder: Path, check: Callable[[SessionRecord], object] = lambda _: None
) -> "Iterator[tuple[Setup, OpenSession]]":
    """The configuration that the session was started with, and its open bench. Raises HarnessError.

    check: raises UserError where the session lacks what is asked about, before anything is opened or written.
    """
    from harness.config.setup import load
    from harness.report.terminal.progress import Progress
    from harness.session.folder import open_session

    session = load_session(folder)
    if not session.length:
        raise UserError(f"{folder} holds a session that has not started")
    check(session)
    setup = as_begun(load(session.started.arguments), folder)
    with open_session(setup, folder, (Progress(),)) as bench:
        yield setup, bench
        if session.ended is not None:
            own = session.ended.content() | {"trials": bench.trial_runner.state.finished_trials}
            bench.trial_runner.record(SessionEndedRow.model_validate(own))


def only_folder(arguments: list[str], usage: str) -> tuple[Path, int]:
    """(folder, N) from the arguments `TAG [runs=N]`; N is 0 when it is not given. Raises UserError."""
    folders = [argument for argument in arguments if not argument.startswith("runs=")]
    runs = [argument.removeprefix("runs=") for argument in arguments if argument.startswith("runs=")]
    if len(folders) != 1 or folders[0].startswith("-"):
        raise UserError(usage)
    if runs and not (runs[-1].isdecimal() and int(runs[-1]) >= 2):
        raise UserError(f"runs={runs[-1]}: give a whole number from 2 on")
    return lookup.session(folders[0]), int(runs[-1]) if runs else 0
