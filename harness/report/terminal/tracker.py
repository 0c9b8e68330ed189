"""The session on the screen: a live view on a terminal, one line an event anywhere else."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord
from harness.report.agent_files import live
from harness.report.terminal.lines import event_line, final_lines, reference_lines
from harness.report.words import certificate_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


class Terminal:
    """A tracker. A closed pipe or a terminal that went away ends the output, never the session."""

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

    def open(self, folder: Path, session: SessionRecord) -> None:
        """What is past is not told again."""
        self._session, self._folder = session, folder
        if self._is_live:
            self._start_live()
        else:
            self._print(f"session folder: {folder}")

    def record(self, row: Row) -> None:
        if not self._is_live:
            line = event_line(self._session, row)
            if line:
                self._print(f"{row.time[11:19]} {line}".lstrip())
        elif self._live is None:
            self._start_live()

    def close(self) -> None:
        """Ends the live view and prints the table of verdicts and the certificate. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if not self._is_live:
            for line in final_lines(self._session):
                self._print(line)
            return
        if self._live is not None:
            self._quietly(self._live.stop)
        self._quietly(self._print_table)

    def _start_live(self) -> None:
        from rich.live import Live

        from harness.report.terminal.view import live_view

        self._live = Live(
            get_renderable=lambda: live_view(self._session, agent=self._agent()),
            console=self._console(),
            refresh_per_second=self._refreshes_per_second,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._quietly(self._live.start)

    def _agent(self) -> Mapping[str, Any]:
        return live(self._folder) if self._folder is not None else {}

    def _print_table(self) -> None:
        from rich.text import Text

        from harness.report.terminal.view import final_table

        console = self._console()
        if self._session.decided:
            console.print(final_table(self._session))
        for line in [*reference_lines(self._session), *certificate_lines(self._session)]:
            console.print(Text(line, style="bold"))

    def _console(self) -> "Console":
        from rich.console import Console

        return Console(file=self._stream, force_terminal=True)

    def _print(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        readable = line.encode(encoding, "backslashreplace").decode(encoding)
        self._quietly(lambda: print(readable, file=self._stream, flush=True))

    @staticmethod
    def _quietly(action: "object") -> None:
        assert callable(action)
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            action()
