"""A tracker whose work is done by a process beside the session, which follows the ledger.

The session only starts that process and waits a bounded time for it at the end. An outage, a missing network or an
error inside a library can therefore neither stop nor slow the session: the ledger has every row.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError
from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord

ADDRESS = "address"  # file in the tracker's folder: where to look, or how; written by the process


def needed(package: str, extra: str) -> None:
    """Raises UserError when a package of an extra is not installed."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"tracking={extra} needs more packages: pip install 'harness[{extra}]'")


class BesideTracker:
    """Calls `python -m MODULE FOLDER SETTINGS` and closes its standard input when the session ends."""

    def __init__(
        self, name: str, module: str, folder_name: str, settings: Mapping[str, object], finish_seconds: float
    ) -> None:
        """name: in messages. folder_name: where its log lies. Raises ValueError for a wait that is not positive."""
        if not finish_seconds > 0:
            raise ValueError(f"finish_seconds {finish_seconds} is not above 0")
        self._name, self._module, self._folder_name = name, module, folder_name
        self._settings, self._finish_seconds = settings, finish_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def open(self, folder: Path, session: SessionRecord) -> None:  # noqa: ARG002 -- it reads the ledger
        """Starts the process that follows the ledger in `folder`; returns at once."""
        home = folder / self._folder_name
        self._log = home / "harness.log"
        try:
            home.mkdir(exist_ok=True)
            (home / ADDRESS).unlink(missing_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self._module, str(folder.resolve()), json.dumps(self._settings)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is the session's: this process ends after it, in order
                    env={**os.environ, **self.environment(home.resolve())},
                )
        except OSError as error:
            self._say(f"not started ({error}); the session goes on, the ledger has everything")

    def environment(self, home: Path) -> dict[str, str]:  # noqa: ARG002 -- others need it
        """What the process finds in its environment beside ours. home: its folder."""
        return {}

    def rest(self) -> str:
        """How what did not arrive is sent."""
        return "nothing is lost: it is sent when the session is resumed"

    def record(self, row: Row) -> None:  # noqa: ARG002 -- it reads the ledger
        """Nothing to send; says once when the process has ended too early."""
        if self._process is not None and self._process.poll() is not None:
            self._say(
                f"ended early with code {self._process.returncode}; the session goes on, see {self._log}"
            )
            self._process = None

    def close(self) -> None:
        """Waits for the rest, at most finish_seconds, and says where to look."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            code = process.wait(self._finish_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._say(f"did not finish in {self._finish_seconds:g} s; {self.rest()}")
            return
        if code != 0:
            self._say(f"failed with code {code}; see {self._log}; {self.rest()}")
            return
        try:
            self._say((self._log.parent / ADDRESS).read_text(encoding="utf-8").strip())
        except OSError:
            return

    def _say(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)
