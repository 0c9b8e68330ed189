"""TensorBoard and MLflow from the same rows: each number once, whatever happens to the session between."""

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.ledger.rows import row_of
from harness.ledger.session_record import opened
from harness.report.trackers.beside import BesideTracker, needed
from harness.report.trackers.mlflow import MlflowTracker
from harness.report.trackers.tensorboard import TensorboardTracker
from tests.report.conftest import make_rows

_PATIENCE = 500.0  # the libraries take long to be loaded on a busy machine


def sit(folder: Path, tracker: BesideTracker, rows: list[dict[str, Any]]) -> None:
    """One sitting: the rows are written and shown, as a session does it."""
    folder.mkdir(exist_ok=True)
    ledger, session = opened(folder)
    tracker.open(folder, session)
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("seq", "time", "kind")}
        written = row_of(ledger.append(row["kind"], **values))
        session.add(written)
        tracker.record(written)
    tracker.close()
    ledger.close()


def made(proposals: int) -> list[dict[str, Any]]:
    """A session whose programs tell a curve."""
    rows = make_rows(proposals, seed=3)
    for row in rows:
        if row["kind"] == "trial_finished":
            row["claims"] = {"loss": 1.0, "curve": [3.0, 2.0, 1.5]}
    return rows


def scalars(folder: Path) -> Counter[tuple[str, int]]:
    """(name, step) of every scalar in the event files: length, check, event, check, as TensorFlow writes records."""
    from tensorboardX.proto.event_pb2 import Event

    found: Counter[tuple[str, int]] = Counter()
    for file in folder.rglob("events.out.tfevents.*"):
        data, place = file.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            found.update((value.tag, event.step) for value in event.summary.value)
    return found


@pytest.mark.slow
def test_tensorboard_shows_every_number_once_also_after_a_second_sitting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Scalars of every trial and decision by row, the chart at keeps, claimed curves in folders of their own."""
    rows = made(8)
    folder = tmp_path / "s"
    sit(folder, TensorboardTracker(_PATIENCE), rows[:25])
    sit(folder, TensorboardTracker(_PATIENCE), rows[25:])
    found = scalars(folder / "tensorboard" / "session")
    assert set(found.values()) == {1}
    scored = [
        place for place, row in enumerate(rows) if row["kind"] == "scored" and row["role"] == "candidate"
    ]
    assert [step for name, step in sorted(found) if name == "score/candidate"] == scored
    decided = [place for place, row in enumerate(rows) if row["kind"] == "decided"]
    assert [step for name, step in sorted(found) if name == "decision/kept"] == decided
    assert [name for name, _ in found if name == "progress"]
    told = scalars(folder / "tensorboard" / "claimed")
    assert {name for name, _ in told} == {"claimed/loss"}
    assert {step for _, step in told} == {0, 1, 2}
    assert f"tensorboard --logdir {folder.resolve()}/tensorboard" in capfd.readouterr().err


@pytest.mark.slow
def test_mlflow_has_every_number_once_also_after_a_second_sitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One MLflow run a session, in the session's own folder; no secret among its parameters."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = made(8)
    folder = tmp_path / "s"
    sit(folder, MlflowTracker(finish_seconds=_PATIENCE), rows[:25])
    sit(folder, MlflowTracker(finish_seconds=_PATIENCE), rows[25:])
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    (experiment,) = [each for each in client.search_experiments() if each.name == "harness"]
    (run,) = client.search_runs([experiment.experiment_id])
    scored = [
        place for place, row in enumerate(rows) if row["kind"] == "scored" and row["role"] == "candidate"
    ]
    history = client.get_metric_history(run.info.run_id, "score/candidate")
    assert [metric.step for metric in history] == scored
    curves = [name for name in run.data.metrics if name.startswith("claimed/")]
    assert curves
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, curves[0])] == [
        3.0,
        2.0,
        1.5,
    ]
    assert "sk-secret" not in str(run.data.params)
    assert run.data.params["task"] == "nanochat"
    assert run.info.status == "FINISHED"
    assert list((folder / "mlflow" / "files").rglob("progress.svg"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"s"}
    assert "mlflow ui --backend-store-uri sqlite:///" in capfd.readouterr().err


def test_a_missing_package_is_said_before_anything_starts() -> None:
    """One line with the extra's name."""
    with pytest.raises(UserError, match=r"pip install 'harness\[mlflow\]'"):
        needed("no_such_package_of_anybody", "mlflow")
