"""Opens the folder of an earlier session for measurements on demand; a session that had ended stays ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.ledger.rows import SessionEndedRow
from harness.ledger.session_record import load as load_session

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.session.folder import OpenSession


@contextmanager
def reopened(folder: Path) -> "Iterator[tuple[Setup, OpenSession]]":
    """The configuration that the session was started with, and its open bench. Raises HarnessError."""
    from harness.config.setup import load
    from harness.session.folder import open_session

    session = load_session(folder)
    if not session.length:
        raise UserError(f"{folder} holds a session that has not started")
    setup = load(session.started.arguments)
    with open_session(setup, folder, ()) as bench:
        yield setup, bench
        if session.ended is not None:
            own = session.ended.content() | {"trials": bench.trial_runner.state.finished_trials}
            bench.trial_runner.record(SessionEndedRow.model_validate(own))


def only_folder(arguments: list[str], usage: str) -> tuple[Path, int]:
    """(DIR, N) from the arguments `DIR [runs=N]`; N is 0 when it is not given. Raises UserError."""
    folders = [argument for argument in arguments if not argument.startswith("runs=")]
    runs = [argument.removeprefix("runs=") for argument in arguments if argument.startswith("runs=")]
    if len(folders) != 1 or folders[0].startswith("-"):
        raise UserError(usage)
    if runs and not (runs[-1].isdecimal() and int(runs[-1]) >= 2):
        raise UserError(f"runs={runs[-1]}: give a whole number from 2 on")
    return Path(folders[0]), int(runs[-1]) if runs else 0
