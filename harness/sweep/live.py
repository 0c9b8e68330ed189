"""The arms of a sweep while they go on: a table on a terminal, read from their ledgers as they grow."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.ledger.reading import LEDGER, Tail, session_folders
from harness.ledger.session_record import SessionRecord
from harness.report.escape import one_line
from harness.report.words import cost_text, duration, gain_text

if TYPE_CHECKING:
    from rich.table import Table

_LOOK_SECONDS = 2.0
_MOST_ENDED = 6


@dataclass
class ArmView:
    """One arm: what its session's ledger says so far. state: waiting, under way, ended or FAILED."""

    label: str
    folder: Path
    state: str = "waiting"
    started: float = 0.0
    session: SessionRecord = field(default_factory=SessionRecord)
    _tail: Tail | None = None

    def look(self) -> None:
        """Takes in the rows that have come since. A ledger that cannot be read is its session's to tell."""
        if self._tail is None:
            found = session_folders(self.folder)
            self._tail = Tail(found[-1] / LEDGER) if found else None
        if self._tail is not None:
            with contextlib.suppress(HarnessError, ValueError, KeyError):
                for row in self._tail.rows():
                    self.session.add(row)

    def cells(self, now: float) -> tuple[str, ...]:
        session = self.session
        taken = duration(now - self.started) if self.state == "under way" else ""
        if not session.length:
            return (one_line(self.label, 80), self.state, "", "", "", taken)
        kept = f"{len(session.keeps)} of {len(session.decided)}"
        return (one_line(self.label, 80), self.state, kept, gain_text(session), cost_text(session), taken)


class LiveArms:
    """What a sweep shows of its arms; every call of its threads may come at any time."""

    def __init__(self, arms: dict[str, tuple[str, Path]]) -> None:
        """arms: name -> its label and its folder."""
        self.views = {name: ArmView(label, folder) for name, (label, folder) in arms.items()}
        self._lock = threading.Lock()

    def set(self, arm: str, state: str) -> None:
        with self._lock:
            view = self.views[arm]
            view.state, view.started = state, time.monotonic()

    def table(self, height: int = 40) -> "Table":
        """Arms under way, the last that ended, and how many wait; as many as the terminal has lines."""
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            views = [*self.views.values()]
            for view in views:
                if view.state != "waiting":
                    view.look()
        active = [view for view in views if view.state == "under way"]
        ended = [view for view in views if view.state in ("ended", "FAILED")]
        waiting = len(views) - len(active) - len(ended)
        shown = [*ended[-max(1, min(_MOST_ENDED, height - len(active) - 6)) :], *active][
            -max(3, height - 6) :
        ]
        table = Table(show_edge=False, pad_edge=False)
        for heading in ("arm", "state", "kept", "gain", "cost", "since"):
            table.add_column(heading, overflow="fold")
        now = time.monotonic()
        for view in shown:
            style = {"FAILED": "red", "under way": "bold"}.get(view.state, "")
            table.add_row(*(Text(cell, style=style) for cell in view.cells(now)))
        table.caption = (
            f"{len(ended)} of {len(views)} arms have ended, {len(active)} under way, {waiting} wait"
        )
        return table


@contextlib.contextmanager
def shown(arms: LiveArms, live: bool) -> Iterator[Callable[[str], None]]:
    """While the sweep goes on. Gives what prints a line: above the table where there is one."""
    if not live:
        yield lambda line: print(line, flush=True)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    view = Live(
        get_renderable=lambda: arms.table(console.height),
        console=console,
        refresh_per_second=1 / _LOOK_SECONDS,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with view:
        yield lambda line: console.print(Text(line), soft_wrap=True, highlight=False)
