"""W&B over loopback: each trial once and in order, whatever happens to the session, the process or the server."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import UserError
from harness.ledger.chain import read
from harness.ledger.rows import row_of
from harness.ledger.session_record import load, opened
from harness.report.trackers.follow import is_turn
from harness.report.wandb.report import save_report
from harness.report.wandb.rows import config_of, metrics_of, run_id, summary_of
from harness.report.wandb.tracker import WandbTracker
from tests.report.conftest import recorded, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")
_SPEC = importlib.util.spec_from_file_location("wandb_server", Path(__file__).with_name("wandb_server.py"))
wandb_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(wandb_server)


@pytest.fixture
def server(monkeypatch):
    made = wandb_server.WandbServer()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_BASE_URL", made.url)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    yield made
    made.close()


class Sitting:
    """A session that writes rows and shows them to the tracker, as the trial_runner does."""

    def __init__(self, folder, **settings):
        folder.mkdir(exist_ok=True)
        (folder / "patches").mkdir(exist_ok=True)
        (folder / "patches" / "0001.patch").write_text("Why\n---\n")
        self.ledger, self.session = opened(folder)
        self.tracker = WandbTracker(**settings)
        self.tracker.open(folder, self.session)

    def write(self, rows):
        for row in rows:
            values = {key: value for key, value in row.items() if key not in ("seq", "time", "kind")}
            written = row_of(self.ledger.append(row["kind"], **values))
            self.session.add(written)
            self.tracker.record(written)

    def end(self):
        self.tracker.close()
        self.ledger.close()

    def kill(self):
        """kill -9 of the whole tree, W&B's own service included."""
        family = [psutil.Process(self.tracker._process.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family)
        self.ledger.close()


def expected(rows):
    """(seq, trial) of everything that a server must have, in order."""
    session, found = recorded(), []
    for row in map(row_of, rows):
        session.add(row)
        metrics = metrics_of(session, row)
        if metrics is not None:
            found.append((row.seq, metrics.get("trial/id")))
    return found


def arrived(history):
    return [(entry["_step"], entry.get("trial/id")) for entry in history]


def test_a_session_arrives_whole(server, rows, tmp_path):
    """Config without secrets, every trial with its seed once and in order, decisions, certificate, artefacts."""
    made = rows(3)
    sitting = Sitting(tmp_path / "s", group="sweep-1")
    sitting.write(made)
    sitting.end()
    (name,) = server.runs
    run = server.runs[name]
    assert name == run_id(sitting.session.started)
    assert arrived(server.history(name)) == expected(made)
    trials = [entry["trial/id"] for entry in server.history(name) if "trial/id" in entry]
    assert trials == [row["trial_id"] for row in made if row["kind"] == "trial_started"]
    seeds = {entry["trial/id"]: entry["trial/seed"] for entry in server.history(name) if "trial/id" in entry}
    assert seeds == {row["trial_id"]: row["seed"] for row in made if row["kind"] == "trial_started"}
    assert run["group"] == "sweep-1"
    assert run["config"]["task"]["value"] == "nanochat"
    assert "sk-secret" not in json.dumps(run["config"])
    assert run["summary"]["keeps"] == sum(row.get("decision") == "keep" for row in made)
    (artifact,) = server.artifacts
    assert set(artifact["files"]) == {"ledger.jsonl", "report.html", "patches/0001.patch"}
    assert artifact["committed"]
    assert server.unknown == []
    turns = [entry for entry in server.history(name) if "progress" in entry]
    assert len(turns) == sum(map(is_turn, map(row_of, made)))
    assert all(entry["progress"]["_type"] == "html-file" for entry in turns)
    assert any(b"ideas, " in content and b"<svg" in content for content in server.files.values())
    assert "/runs/" in (tmp_path / "s" / "wandb" / "address").read_text()
    written = {entry.name for entry in (tmp_path / "s").iterdir()}
    assert written == {"ledger.jsonl", "patches", "report.html", "wandb"}


@pytest.mark.slow
def test_each_trial_arrives_once_also_after_a_kill(server, rows, tmp_path):
    """Two sittings, the first one killed with everything that belongs to it."""
    made = rows(10)
    first = Sitting(tmp_path / "s")
    first.write(made[:20])
    wait_until(lambda: any(run["sent"] for run in server.runs.values()))
    first.write(made[20:30])
    first.kill()
    second = Sitting(tmp_path / "s")
    second.write(made[30:])
    second.end()
    (name,) = server.runs
    assert arrived(server.history(name)) == expected(made)
    assert arrived(server.runs[name]["sent"]) == expected(made)


@pytest.mark.slow
def test_offline_session_is_synced_whole_also_after_a_kill_and_in_two_parts(
    server, rows, tmp_path, monkeypatch
):
    """Without a key nothing is sent; `wandb sync`, between two sittings too, sends each trial once, in order."""
    monkeypatch.setenv("HOME", str(tmp_path))  # no ~/.netrc
    made = rows(12)
    left = tmp_path / "s" / "wandb" / "wandb"
    monkeypatch.delenv("WANDB_API_KEY")
    first = Sitting(tmp_path / "s")
    first.write(made[:20])
    wait_until(lambda: list(left.glob("offline-run-*/*.wandb")))
    first.kill()
    for part in (made[20:40], made[40:]):
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
        asked = len(server.operations)
        sitting = Sitting(tmp_path / "s")
        sitting.write(part)
        sitting.end()
        assert len(server.operations) == asked
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        program = Path(sys.executable).with_name("wandb")
        command = [program, "sync", *left.glob("offline-run-*")]
        subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=tmp_path)
    (name,) = server.runs
    assert arrived(server.history(name)) == expected(made)
    assert arrived(server.runs[name]["sent"]) == expected(made)
    assert all(artifact["committed"] for artifact in server.artifacts)


@pytest.mark.slow
def test_server_that_is_down_neither_stops_nor_fails_the_session(server, rows, tmp_path, capfd):
    """The end waits for finish_seconds and says how to send the rest."""
    server.is_down = True
    sitting = Sitting(tmp_path / "s", finish_seconds=3)
    sitting.write(rows(4))
    process = sitting.tracker._process
    sitting.end()
    assert process.poll() is not None
    assert "wandb sync" in capfd.readouterr().err


@pytest.mark.usefixtures("server")
def test_a_process_that_dies_is_said_once_and_the_session_goes_on(rows, tmp_path, capfd):
    """No exception reaches the session when the W&B process ends early."""
    sitting = Sitting(tmp_path / "s")
    sitting.kill()
    sitting = Sitting(tmp_path / "s")
    sitting.tracker._process.kill()
    sitting.tracker._process.wait()
    sitting.write(rows(2))
    sitting.end()
    assert capfd.readouterr().err.count("ended early") == 1


def test_settings_are_checked_and_secrets_redacted(rows):
    """Constructor arguments are the schema of the config node; a key in the configuration stays here."""
    with pytest.raises(ValueError, match="mode"):
        WandbTracker(mode="sometimes")
    with pytest.raises(ValueError, match="finish_seconds"):
        WandbTracker(finish_seconds=0)
    assert "sk-secret" not in json.dumps(config_of(recorded(rows(1))))


def test_a_trial_has_one_entry_whatever_became_of_it():
    """Scored, invalid, crashed: one each. Interrupted, infrastructure: none, because they are run again."""
    base = {"trial_id": "p0001-1", "role": "candidate", "commit": "c", "proposal": 1}
    cases = [
        ([{"kind": "trial_finished", "outcome": "completed"}, {"kind": "scored", "status": "scored", "value": 1.0}], 1),
        ([{"kind": "trial_finished", "outcome": "completed"}, {"kind": "scored", "status": "invalid"}], 1),
        ([{"kind": "trial_finished", "outcome": "crashed"}], 1),
        ([{"kind": "trial_finished", "outcome": "infra_failed"}], 0),
        ([{"kind": "trial_finished", "outcome": "completed"}, {"kind": "scored", "status": "infra_failed"},
          {"kind": "scored", "status": "scored", "value": 2.0}], 1),
    ]  # fmt: skip
    for events, count in cases:
        session, found = recorded([{"kind": "trial_started", **base}]), 0
        for event in events:
            row = row_of({**event, **base})
            session.add(row)
            found += metrics_of(session, row) is not None
        assert found == count


def test_saved_report_has_a_runset_an_arm_panels_and_inert_text(server, rows, written, tmp_path, monkeypatch):
    """The JSON that W&B receives: every session in its arm, metrics that are logged, text of agents as text."""
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "w"))
    arms = [("replay", 0), ("optuna", 1), ("optuna", 2)]
    folders = []
    for agent, seed in arms:
        choices = {"task": "nanochat", "agent": agent, "program": "default"}
        made = rows(4, seed=seed, hostile="<script>alert(1)</script>", agent=agent, choices=choices)
        folders.append(written(tmp_path / str(seed), made))
    address = save_report(folders, "harness", None)
    assert "/e/harness/reports/" in address
    assert server.unknown == []
    (view,) = server.views
    spec = json.loads(view["spec"])
    (grid,) = [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]
    ids = [run_id(load(folder).started) for folder in folders]
    filters = {entry["name"]: json.dumps(entry["filters"]) for entry in grid["runSets"]}
    assert set(filters) == {"nanochat replay default", "nanochat optuna default"}
    assert [name in filters["nanochat optuna default"] for name in ids] == [False, True, True]
    assert {entry["project"]["name"] for entry in grid["runSets"]} == {"harness"}
    panels = [panel["config"] for panel in grid["panelBankSectionConfig"]["panels"]]
    plotted = {metric for panel in panels for metric in panel.get("metrics", [])}
    assert [panel["mediaKeys"] for panel in panels if "mediaKeys" in panel] == [["progress"]]
    session, logged = recorded(), set()
    for row in map(row_of, read(folders[0])):
        session.add(row)
        logged |= set(metrics_of(session, row) or {})
    logged |= {f"summary_metrics.{name}" for name in summary_of(session)}
    assert plotted <= logged
    texts = [block["content"] for block in spec["blocks"] if block["type"] == "markdown-block"]
    assert len(texts) == 3
    assert not any("<script" in text for text in texts)


def test_report_without_a_login_is_one_line(server, session_folder, monkeypatch, tmp_path):
    """No key: the user is told what to do, and nothing is sent."""
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("harness.report.wandb.report._logged_in", lambda: False)
    with pytest.raises(UserError, match="wandb login"):
        save_report([session_folder], "harness", None)
    assert server.operations == []
