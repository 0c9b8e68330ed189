"""Tracker for MLflow: one MLflow run a session, in a database of the session's folder or at a server of the user's."""

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger.rows import Row
from harness.ledger.session_record import SessionRecord
from harness.report.charts.picture import picture, picture_svg
from harness.report.trackers.beside import BesideTracker, needed
from harness.report.trackers.follow import flat, followed, is_turn, say_address, seconds_of, told_curves
from harness.report.wandb.rows import config_of, metrics_of, run_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "mlflow"
_TAG, _LAST = "harness.session", "harness.last_row"


class MlflowTracker(BesideTracker):
    """Metrics of every row, the configuration as parameters, the progress chart, curves that candidates told."""

    def __init__(
        self, address: str | None = None, experiment: str = "harness", finish_seconds: float = 60.0
    ) -> None:
        """address: of a tracking server; None: MLFLOW_TRACKING_URI, or else a database in the session's folder.

        finish_seconds: how long the end of a session may wait. Raises UserError without its package.
        """
        needed("mlflow", "mlflow")
        settings = {"address": address, "experiment": experiment}
        super().__init__("MLflow", __name__, FOLDER, settings, finish_seconds)


def main(argv: list[str]) -> int:
    from mlflow import MlflowClient

    folder, settings = Path(argv[0]), json.loads(argv[1])
    home = folder / FOLDER
    own = f"sqlite:///{home / 'mlflow.db'}"
    address = settings["address"] or os.environ.get("MLFLOW_TRACKING_URI") or own
    client, run, last = MlflowClient(address), "", -1
    for session, row in followed(folder):
        if not run:
            place = home.as_uri() + "/files" if address == own else None
            run, last = _opened(client, session, settings["experiment"], folder.name, place)
        if row.seq > last:
            _log(client, run, session, row)
    if run:
        client.set_terminated(run)
        shown = (
            f"{address}/#/runs/{run}"
            if address.startswith("http")
            else f"mlflow ui --backend-store-uri {address}"
        )
        say_address(home, shown)
    return 0


def _opened(
    client: "MlflowClient", session: SessionRecord, experiment: str, name: str, place: str | None
) -> tuple[str, int]:
    """(the session's MLflow run, the last row that it has): a resumed session goes on with its own."""
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment, artifact_location=place)
    own = run_id(session.started)
    known = client.search_runs([number], f"tags.`{_TAG}` = '{own}'", max_results=1)
    if known:
        client.set_terminated(known[0].info.run_id, status="RUNNING")
        return known[0].info.run_id, int(known[0].data.tags.get(_LAST, -1))
    made = client.create_run(number, tags={_TAG: own}, run_name=name)
    for key, value in flat(config_of(session)):
        client.log_param(made.info.run_id, _named(key)[:250], str(value)[:500])
    return made.info.run_id, -1


def _named(name: str) -> str:
    """Without the characters that MLflow refuses."""
    return re.sub(r"[^\w./ -]", "_", name)


def _log(client: "MlflowClient", run: str, session: SessionRecord, row: Row) -> None:
    """The row's numbers and its own in one call: after a kill none comes twice."""
    from mlflow.entities import Metric, RunTag

    now = int(seconds_of(row) * 1000)
    told = (metrics_of(session, row) or {}).items()
    found = [(_named(name), value, row.seq) for name, value in told]
    for trial, curve in told_curves(session, row).items():
        found += [(f"claimed/{trial}", value, place) for place, value in enumerate(curve)]
    if is_turn(row):
        client.log_text(run, picture_svg(picture(session)), "progress.svg")
    metrics = [
        Metric(name, float(value), now, step) for name, value, step in found if isinstance(value, int | float)
    ]
    for start in range(0, len(metrics), 900):  # at most 1000 a call
        client.log_batch(run, metrics=metrics[start : start + 900], tags=[RunTag(_LAST, str(row.seq))])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
