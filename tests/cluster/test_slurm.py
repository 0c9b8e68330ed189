"""Sessions on a real Slurm that the tests start on this machine: three nodes, and whatever befalls them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import assert_settled, command, rows_of, same_secret, started
from tests.cluster.slurm_cluster import SlurmCluster, missing

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        bool(missing()),
        reason=f"needs Debian's slurmctld, slurmd, slurm-client and munge: no {' '.join(missing())}",
    ),
]
ON_SLURM = ("executor=slurm", "executor.slots=4", "executor.poll_seconds=1")
PATIENCE_SECONDS = 900.0


@pytest.fixture(scope="module", autouse=True)
def _submitit() -> None:
    pytest.importorskip("submitit")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


def finished_trials(folder: Path) -> int:
    return sum(row["kind"] == "trial_finished" for row in rows_of(folder))


def wait_for(
    trials: int, folder: Path, session: "subprocess.Popen[bytes]", seconds: float = PATIENCE_SECONDS
) -> None:
    end = time.monotonic() + seconds
    while finished_trials(folder) < trials and session.poll() is None and time.monotonic() < end:
        time.sleep(0.2)


def test_a_session_under_faults(
    cluster: SlurmCluster, one_slot: Path, proposals: Path, tmp_path: Path
) -> None:
    """Killed jobs, a killed slurmctld, a killed node, a drained node, a killed harness: every trial once, and the
    verdicts of one slot."""
    folder, log, draw = tmp_path / "many", tmp_path / "log", random.Random(0)
    same_secret(one_slot, folder)
    arguments = command(tmp_path, "many", proposals, *ON_SLURM)
    session = started(arguments, log, cluster.environment)
    wait_for(2, folder, session)
    for _ in range(2):  # jobs
        if running := cluster.job_ids():
            cluster.said("scancel", "--signal=KILL", "--full", draw.choice(running))
    cluster.kill("slurmctld")
    wait_for(20, folder, session, seconds=15.0)
    cluster.start_controller()
    wait_for(6, folder, session)
    os.killpg(session.pid, signal.SIGKILL)
    session.wait()
    before = rows_of(folder)
    under_way = {row["trial_id"] for row in before if row["kind"] == "trial_started"}
    under_way -= {row["trial_id"] for row in before if row["kind"] == "trial_finished"}
    session = started(arguments, log, cluster.environment)
    cluster.said("scontrol", "update", "nodename=node1", "state=drain", "reason=test")
    wait_for(12, folder, session)
    cluster.kill("node2")
    wait_for(14, folder, session, seconds=30.0)
    cluster.start_node("node2")
    cluster.said("scontrol", "update", "nodename=node1", "state=resume")
    assert session.wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
    rows = rows_of(folder)
    assert [row["hash"] for row in rows[: len(before)]] == [row["hash"] for row in before]
    ends = {row["trial_id"]: row for row in rows if row["kind"] == "trial_finished"}
    found_again = [name for name in under_way if ends[name]["reason"] != "interrupted"]
    assert found_again or not under_way, "jobs that went on were not found again"
    assert_settled(folder, one_slot)
    end = time.monotonic() + 60
    while cluster.job_ids() and time.monotonic() < end:
        time.sleep(1)
    assert not cluster.job_ids()


def test_nothing_secret_reaches_a_node(cluster: SlurmCluster, proposals: Path, tmp_path: Path) -> None:
    """Keys and tokens of our environment stay here, and so does what seeds and held-out data are drawn with."""
    folder, log = tmp_path / "env", tmp_path / "log"
    spied = tmp_path / "spied"
    setup = f"executor.setup=['env > {spied}-$SLURM_JOB_ID']"
    environment = {**cluster.environment, "ANTHROPIC_API_KEY": "sk-secret", "WANDB_API_KEY": "also-secret"}
    arguments = command(
        tmp_path, "env", proposals, *ON_SLURM, setup, "budget.proposals=1", "budget.certificate=0"
    )
    assert started(arguments, log, environment).wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
    seen = "".join(file.read_text() for file in tmp_path.glob("spied-*"))
    assert "SLURM_JOB_ID" in seen
    assert "secret" not in seen
    secret = (folder / "secret").read_bytes()
    for file in (folder / "slots").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"sk-secret" not in content
            assert secret.strip() not in content


def test_the_doctor_looks_at_every_kind_of_node(cluster: SlurmCluster, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.doctor", "executor=slurm", "budget=smoke", "task=digits",
         "executor.poll_seconds=1",
         f"session.folder={tmp_path}"],
        env=cluster.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("works: isolation L") == 1  # three nodes of one kind
