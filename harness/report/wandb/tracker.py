"""Tracker for W&B: one W&B run a session. All of W&B lives in a process of its own that reads the ledger.

The session only starts that process and waits a bounded time for it at the end. An outage, a missing network or
an error inside W&B can therefore neither stop nor slow the session: the ledger has every row, and what did not
arrive is sent with `wandb sync` or by resuming the session.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord

_PROCESS = "harness.report.wandb.process"


class WandbTracker:
    """Offline (a folder for `wandb sync`) unless there is a key; WANDB_MODE overrides."""

    def __init__(
        self,
        project: str = "harness",
        entity: str | None = None,
        group: str | None = None,
        mode: str | None = None,
        finish_seconds: float = 60.0,
    ) -> None:
        """mode: online, offline or disabled; None: online when there is a key. group: None takes the sweep's name.

        finish_seconds: how long the end of a session may wait for W&B. Raises ValueError for another mode.
        """
        if mode not in (None, "online", "offline", "disabled"):
            raise ValueError(f"mode {mode!r} is not one of online, offline, disabled")
        if not finish_seconds > 0:
            raise ValueError(f"finish_seconds {finish_seconds} is not above 0")
        self._settings = {"project": project, "entity": entity, "group": group, "mode": mode}
        self._finish_seconds = finish_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def open(self, folder: Path, session: SessionRecord) -> None:  # noqa: ARG002 -- it reads the ledger
        """Starts the process that follows the ledger in `folder`; returns at once."""
        home = folder / "wandb"
        self._log = home / "harness.log"
        try:
            home.mkdir(exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _PROCESS, str(folder.resolve()), json.dumps(self._settings)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is the session's: this process ends after it, in order
                    env={**os.environ, **_folders(home.resolve())},
                )
        except OSError as error:
            _say(f"not started ({error}); the session goes on, the ledger has everything")

    def record(self, row: Row) -> None:  # noqa: ARG002 -- it reads the ledger
        """Nothing to send; says once when the process has ended too early."""
        if self._process is not None and self._process.poll() is not None:
            _say(f"ended early with code {self._process.returncode}; the session goes on, see {self._log}")
            self._process = None

    def close(self) -> None:
        """Waits for the upload, at most finish_seconds."""
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
            _say(
                f"did not finish in {self._finish_seconds:g} s; nothing is lost, send the rest with: {self._sync()}"
            )
        else:
            if code != 0:
                _say(f"failed with code {code}; see {self._log}; send the rest with: {self._sync()}")

    def _sync(self) -> str:
        return f"wandb sync {self._log.parent}/wandb/*run-*"


def _folders(home: Path) -> dict[str, str]:
    """Everything that W&B writes stays in the session's folder, and nothing goes to a third server."""
    places = {
        "WANDB_DIR": "",
        "WANDB_CACHE_DIR": "cache",
        "WANDB_DATA_DIR": "data",
        "WANDB_CONFIG_DIR": "config",
    }
    return {**{name: str(home / place) for name, place in places.items()}, "WANDB_ERROR_REPORTING": "false"}


def _say(text: str) -> None:
    print(f"W&B: {text}", file=sys.stderr, flush=True)
