"""Tracker for W&B: one W&B run a session. All of W&B lives in a process of its own that reads the ledger.

What did not arrive is sent with `wandb sync` or by resuming the session.
"""

from pathlib import Path

from harness.report.trackers.beside import BesideTracker


class WandbTracker(BesideTracker):
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
        settings = {"project": project, "entity": entity, "group": group, "mode": mode}
        super().__init__("W&B", "harness.report.wandb.process", "wandb", settings, finish_seconds)

    def rest(self) -> str:
        return f"nothing is lost, send the rest with: wandb sync {self._log.parent}/wandb/*run-*"

    def environment(self, home: Path) -> dict[str, str]:
        return _folders(home)


def _folders(home: Path) -> dict[str, str]:
    """Everything that W&B writes stays in the session's folder, and nothing goes to a third server."""
    places = {
        "WANDB_DIR": "",
        "WANDB_CACHE_DIR": "cache",
        "WANDB_DATA_DIR": "data",
        "WANDB_CONFIG_DIR": "config",
    }
    return {**{name: str(home / place) for name, place in places.items()}, "WANDB_ERROR_REPORTING": "false"}
