"""Opens the folder of an earlier session for measurements on demand; a session that had ended stays ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.ledger.chain import read

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.session.folder import Bench

_OF_END = ("reason", "proposals", "keeps", "trials", "busy_share")


@contextmanager
def reopened(folder: Path) -> "Iterator[tuple[Setup, Bench]]":
    """The configuration that the session was started with, and its open bench. Raises HarnessError."""
    from harness.config.setup import load
    from harness.session.folder import open_bench

    rows = read(folder)
    if not rows:
        raise UserError(f"{folder} holds a session that has not started")
    setup = load([str(argument) for argument in rows[0]["arguments"]])
    ends = [row for row in rows if row["kind"] in ("session_ended", "session_resumed")]
    with open_bench(setup, folder, ()) as bench:
        yield setup, bench
        if ends and ends[-1]["kind"] == "session_ended":
            end = {name: ends[-1][name] for name in _OF_END if name in ends[-1]}
            bench.trial_runner.record("session_ended", **{**end, "trials": bench.trial_runner.state.trials})


def only_folder(arguments: list[str], usage: str) -> tuple[Path, int]:
    """(DIR, N) from the arguments `DIR [runs=N]`; N is 0 when it is not given. Raises UserError."""
    folders = [argument for argument in arguments if not argument.startswith("runs=")]
    runs = [argument.removeprefix("runs=") for argument in arguments if argument.startswith("runs=")]
    if len(folders) != 1 or folders[0].startswith("-"):
        raise UserError(usage)
    if runs and not (runs[-1].isdecimal() and int(runs[-1]) >= 2):
        raise UserError(f"runs={runs[-1]}: give a whole number from 2 on")
    return Path(folders[0]), int(runs[-1]) if runs else 0
