"""The session on the screen: a live view on a terminal, one line an event anywhere else."""

import contextlib
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord
from harness.report.agent_files import live
from harness.report.escape import one_line
from harness.report.terminal.lines import (
    doing,
    final_lines,
    next_lines,
    now_line,
    paused_lines,
    reference_lines,
    stamped,
)
from harness.report.words import certificate_lines, time_lines, verdict, why

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_SHOWN_AGAIN = 8  # of the past, where a live view begins; lines, after the terminal got another size


class Terminal:
    """A tracker. A closed pipe or a terminal that went away ends the output, never the session.

    On a terminal every event is a line that stays, and the live view stands below the lines.
    """

    def __init__(
        self, stream: TextIO | None = None, live: bool | None = None, refreshes_per_second: float = 2
    ) -> None:
        """stream: default stdout. live: None asks whether the stream is a terminal."""
        self._refreshes_per_second = refreshes_per_second
        self._stream = stream or sys.stdout
        self._is_live = self._stream.isatty() if live is None else live
        self._session = SessionRecord()
        self._live: Live | None = None
        self._closed = False
        self._folder: Path | None = None
        self._last: Row | None = None
        self._lines: deque[str] = deque(maxlen=_SHOWN_AGAIN)
        self._resized = ExitStack()

    def open(self, folder: Path, session: SessionRecord) -> None:
        """What is past is not told again, but for the last verdicts where a live view begins."""
        self._session, self._folder = session, folder
        for line in [] if session.ended else next_lines(session, folder):
            self._print(line)
        if self._is_live and session.length:  # before the first row there is nothing to show
            self._start_live()

    def look_on(self, folder: Path, session: SessionRecord, past: Sequence[str]) -> None:
        """Like `open`, for who looks on from elsewhere. past: the last lines before, for plain output; a live view has
        its own. What goes on at this moment comes after them: the next row may be minutes away.
        """
        self._session, self._folder = session, folder
        self._print(f"session folder: {folder}")
        if self._is_live:
            if session.length and not session.ended:
                self._start_live()
            return
        for line in past:
            self._print(line)
        if session.length and not session.ended:
            self._print(
                f"now: {now_line(session)}; further lines as they come, until the session ends or Ctrl-C"
            )

    def record(self, row: Row) -> None:
        self._last = row
        if self._is_live and self._live is None:
            self._start_live()
        line = stamped(self._session, row)
        if line:
            self._print(line)

    def close(self) -> None:
        """Ends the live view, prints the table of verdicts and the certificate, and says where everything is and what
        can be typed now. Safe to call twice.
        """
        if self._closed:
            return
        self._closed = True
        if self._live is not None:
            self._resized.close()
            live, self._live = self._live, None
            self._quietly(live.stop)
        if self._is_live:
            self._quietly(self._print_table)
        else:
            for line in final_lines(self._session):
                self._print(line)
        for line in self._last_lines():
            self._print(line)

    def _last_lines(self) -> list[str]:
        if self._folder is None or not self._session.length:
            return []
        return next_lines(self._session, self._folder) if self._session.ended else paused_lines(self._folder)

    def _start_live(self) -> None:
        from rich.live import Live

        from harness.report.terminal.view import live_view

        self._live = Live(
            get_renderable=lambda: live_view(
                self._session, verdicts=0, agent=self._agent(), doing=doing(self._last)
            ),
            console=self._console(),
            refresh_per_second=self._refreshes_per_second,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._quietly(self._live.start)
        self._resized.enter_context(_on_resize(self._draw_anew))
        for proposal in self._session.decided[-_SHOWN_AGAIN:]:
            self._print(one_line(f"proposal {proposal.number}: {verdict(proposal)} ({why(proposal)})", 400))

    def _draw_anew(self) -> None:
        """The terminal has another size: what it made of the old view is wiped, the last lines are shown again."""
        if self._live is None:
            return
        self._quietly(self._live.console.clear)
        for line in self._lines:
            self._show(line)
        self._quietly(self._live.refresh)

    def _agent(self) -> Mapping[str, Any]:
        return live(self._folder) if self._folder is not None else {}

    def _print_table(self) -> None:
        from rich.text import Text

        from harness.report.terminal.view import final_table

        console = self._console()
        if self._session.decided:
            console.print(final_table(self._session))
        session = self._session
        for line in [*reference_lines(session), *certificate_lines(session), *time_lines(session)]:
            console.print(Text(line, style="bold"))

    def _console(self) -> "Console":
        from rich.console import Console

        return Console(file=self._stream, force_terminal=True)

    def _print(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        readable = line.encode(encoding, "backslashreplace").decode(encoding)
        self._lines.append(readable)
        self._show(readable)

    def _show(self, line: str) -> None:
        """Above the live view where there is one; wrapped by the terminal, never cut."""
        if self._live is None:
            self._quietly(lambda: print(line, file=self._stream, flush=True))
            return
        from rich.text import Text

        console = self._live.console
        self._quietly(lambda: console.print(Text(line), soft_wrap=True, highlight=False))

    @staticmethod
    def _quietly(action: "object") -> None:
        assert callable(action)
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            action()


@contextlib.contextmanager
def _on_resize(act: Callable[[], None]) -> Iterator[None]:
    """Calls `act` whenever the terminal gets another size; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
