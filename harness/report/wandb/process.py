"""The process behind WandbTracker: follows a ledger and logs it. Ends when its standard input is closed.

Usage: python -m harness.report.wandb.process FOLDER SETTINGS (JSON). It may fail or hang: nobody waits for long.
"""

import io
import json
import netrc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.ledger.reading import LEDGER
from harness.ledger.rows import DecidedRow, Row
from harness.ledger.session_record import SessionRecord
from harness.report.charts.curves import curves_chart
from harness.report.charts.picture import picture, picture_svg
from harness.report.html.page import html_report
from harness.report.html.pieces import page
from harness.report.local import write_atomically
from harness.report.trackers.follow import followed, is_turn, say_address
from harness.report.wandb.rows import config_of, metrics_of, run_id, summary_of

if TYPE_CHECKING:
    import wandb

_INIT_SECONDS = 60.0


def main(argv: list[str]) -> int:
    folder, settings = Path(argv[0]), json.loads(argv[1])
    mode = os.environ.get("WANDB_MODE") or settings["mode"] or ("online" if _has_key() else "offline")
    run, first, session = None, 0, SessionRecord()
    for session, row in followed(folder):
        if run is None:
            run = _opened(folder, {**settings, "mode": mode}, session)
            first = _first_row(run, folder)
        metrics = metrics_of(session, row)
        if metrics is not None and row.seq >= first:
            run.log({"seq": row.seq, **metrics, **_panels(session, row)}, step=row.seq)
    if run is not None:
        run.summary.update(summary_of(session))
        _artefacts(run, session, folder)
        address = run.url
        run.finish()
        home = folder / "wandb"
        say_address(home, address or f"offline; send it with: wandb sync {home}/wandb/offline-run-*")
    return 0


def _panels(session: SessionRecord, row: Row) -> dict[str, "wandb.Html"]:
    """The progress chart, and the curves that the candidate told, as panels: drawings, no script."""
    import wandb

    if not is_turn(row):
        return {}
    charts = {"progress": picture_svg(picture(session))}
    if isinstance(row, DecidedRow) and (curves := curves_chart(session, session.proposal(row.proposal))):
        charts["claimed_curves"] = page("claimed curves", curves)
    return {name: wandb.Html(io.StringIO(text), inject=False) for name, text in charts.items()}


def _has_key() -> bool:
    """Whether a key for the configured server is there, in the environment or in ~/.netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    try:
        return netrc.netrc().authenticators(server.split("//")[-1].split("/")[0].split(":")[0]) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _opened(folder: Path, settings: dict[str, Any], session: SessionRecord) -> "wandb.Run":
    """The session's W&B run; offline when the server cannot be reached."""
    import wandb

    try:
        return wandb.init(
            project=settings["project"],
            entity=settings["entity"],
            group=settings["group"] or os.environ.get("HARNESS_SWEEP"),
            mode=settings["mode"],
            id=run_id(session.started),
            name=folder.name,
            resume="allow" if settings["mode"] == "online" else None,
            config=config_of(session),
            dir=os.environ.get("WANDB_DIR"),
            settings=wandb.Settings(
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
                init_timeout=_INIT_SECONDS,
                silent=True,
                disable_job_creation=True,
            ),
        )
    except Exception as error:
        if settings["mode"] != "online":
            raise
        print(f"W&B cannot be reached ({error}); offline from here on", flush=True)
        return _opened(folder, {**settings, "mode": "offline"}, session)


def _first_row(run: "wandb.Run", folder: Path) -> int:
    """The first row to log. Online, the server says what it has."""
    return _sent_already(folder, run) + 1 if run.offline else run.starting_step


def _sent_already(folder: Path, run: "wandb.Run") -> int:
    """Offline, a sitting logs all rows after the last one that `wandb sync` has sent: the number of that row.

    What earlier sittings left unsent is cleared away, or it would come twice.
    """
    last = -1
    for left in sorted((folder / "wandb" / "wandb").glob("offline-run-*")):
        if left.resolve() == Path(run.dir).resolve().parent:
            continue
        if list(left.glob("*.wandb.synced")):
            last = max([last, *(_steps(file) for file in left.glob("*.wandb"))])
        else:
            shutil.rmtree(left, ignore_errors=True)
    return last


def _steps(file: Path) -> int:
    """The last step in a file of W&B's own format. Raises CalledProcessError when W&B cannot read it."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    entries = [json.loads(line) for line in said.splitlines() if line.startswith('{"num"')]
    steps = [int(entry["history"]["item"]["_step"]) for entry in entries if entry.get("type") == "history"]
    return max(steps, default=-1)


def _artefacts(run: "wandb.Run", session: SessionRecord, folder: Path) -> None:
    """Ledger, patches and report as one artifact, a new version each time the session ends."""
    import wandb

    report = folder / "report.html"
    write_atomically(report, html_report(session, folder))
    artifact = wandb.Artifact(f"session-{run.id}", type="session")
    for file in (folder / LEDGER, report, folder / "results.tsv"):
        if file.is_file():
            artifact.add_file(str(file), name=file.name)
    if (folder / "patches").is_dir():
        artifact.add_dir(str(folder / "patches"), name="patches")
    run.log_artifact(artifact)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
