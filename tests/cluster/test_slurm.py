"""Sessions on a real Slurm that the tests start on this machine: three nodes, and whatever befalls them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.slots.parcel import folder_name
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


def kill_beside_jobs(session: "subprocess.Popen[bytes]", folder: Path) -> set[str]:
    """Kills the harness while there are trials whose jobs' ids are on record, and gives these trials' ids.

    What it had not yet submitted, or was just submitting, is no job that could be found again.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while session.poll() is None and time.monotonic() < end:
        os.killpg(session.pid, signal.SIGSTOP)
        if going_on := {name for name in under_way(folder) if slurm_id(folder, name).exists()}:
            os.killpg(session.pid, signal.SIGKILL)
            session.wait()
            return going_on
        os.killpg(session.pid, signal.SIGCONT)
        time.sleep(0.2)
    raise AssertionError("there was never a trial under way on the cluster")


def slurm_id(folder: Path, trial_id: str) -> Path:
    return folder / "slots" / folder_name(trial_id) / "slurm_id"


def under_way(folder: Path) -> set[str]:
    rows = rows_of(folder)
    begun = {row["trial_id"] for row in rows if row["kind"] == "trial_started"}
    return begun - {row["trial_id"] for row in rows if row["kind"] == "trial_finished"}


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
    going_on = kill_beside_jobs(session, folder)
    before = rows_of(folder)
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
    assert not [name for name in going_on if ends[name]["reason"] == "interrupted"], "not found again"
    assert_settled(folder, one_slot)
    end = time.monotonic() + 60
    while cluster.job_ids() and time.monotonic() < end:
        time.sleep(1)
    assert not cluster.job_ids()


# On the nodes, before the referee's agent starts: node3 has lost its rights, and files of the first two jobs of node2
# cannot grow (a full shared folder).
_POOR_NODES = """
if [ "$SLURMD_NODENAME" = node3 ] && [ -z "$POOR" ]; then
  POOR=1 exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs bash "$0"
fi
if [ "$SLURMD_NODENAME" = node2 ] && { mkdir FOLDER/full1 || mkdir FOLDER/full2; } 2>/dev/null; then ulimit -f 4; fi
"""
# Instead of sbatch: the third time the harness is killed once Slurm has taken the job, before anybody knows its id.
_DEADLY_SBATCH = """#!/bin/sh
"REAL" "$@"
code=$?
{ mkdir FOLDER/sent1 || mkdir FOLDER/sent2 || { mkdir FOLDER/sent3 && kill -KILL -$(cat FOLDER/group); }; } 2>/dev/null
exit $code
"""


def test_what_befalls_jobs_costs_no_candidate(
    cluster: SlurmCluster, one_slot: Path, proposals: Path, tmp_path: Path
) -> None:
    """A node below the wanted isolation, one whose folder is full, a kill between submission and the id on record,
    jobs cancelled in the queue (the whole array), a job that is requeued: the verdicts of one slot, nothing left."""
    folder, log = tmp_path / "many", tmp_path / "log"
    same_secret(one_slot, folder)
    programs = tmp_path / "bin"
    programs.mkdir()
    real = shutil.which("sbatch") or ""
    (programs / "sbatch").write_text(_DEADLY_SBATCH.replace("REAL", real).replace("FOLDER", str(tmp_path)))
    (programs / "sbatch").chmod(0o755)
    environment = {**cluster.environment, "PATH": f"{programs}:{cluster.environment['PATH']}"}
    lines = [line for line in _POOR_NODES.replace("FOLDER", str(tmp_path)).splitlines() if line]
    setup = "executor.setup=" + json.dumps(lines)
    more = (*ON_SLURM, setup, "budget.proposals=4", "budget.certificate=0")
    session = started(command(tmp_path, "many", proposals, *more), log, environment)
    (tmp_path / "group").write_text(str(session.pid))
    assert session.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    for name in cluster.nodes:
        cluster.said("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    session = started(command(tmp_path, "many", proposals, *more), log, environment)
    until(lambda: "a job waits in Slurm's queue" in log.read_text(), session)
    cluster.said("scancel", "--state=PENDING", *{name.partition("_")[0] for name in cluster.job_ids()})
    for name in cluster.nodes:
        cluster.said("scontrol", "update", f"nodename={name}", "state=resume")
    until(lambda: bool(requeued(cluster)), session)
    assert session.wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
    assert_settled(folder, one_slot, proposals=4)
    rows = rows_of(folder)
    failed = {row["reason"] for row in rows if row.get("outcome") == "infra_failed"}
    assert "cancelled" in failed
    assert failed <= {"cancelled", "started_twice", "interrupted", "not_wanted", "failed", "os_error_27"}
    said = [row["text"] for row in rows if row["kind"] == "notice" and "node3 gets no trial" in row["text"]]
    assert len(said) <= 2  # once a sitting
    assert not cluster.job_ids()


def requeued(cluster: SlurmCluster) -> str:
    """A running job that somebody requeued though it said that it must not be; "" where none ran."""
    running = cluster.said("squeue", "-h", "-r", "-t", "R", "-o", "%A").split()
    for number in running[:1]:
        cluster.said("scontrol", "update", f"jobid={number}", "requeue=1")
        cluster.said("scontrol", "requeue", number)
        return number
    return ""


def until(ready: Callable[[], bool], session: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not ready() and session.poll() is None and time.monotonic() < end:
        time.sleep(0.2)


def test_a_job_that_would_wait_for_ever_ends_the_session(
    cluster: SlurmCluster, proposals: Path, tmp_path: Path
) -> None:
    """With Slurm's own word for why; and minutes in which no trial can be over are refused at once."""
    log = tmp_path / "log"
    arguments = command(tmp_path, "long", proposals, *ON_SLURM, "executor.minutes=120")
    assert started(arguments, log, cluster.environment).wait(PATIENCE_SECONDS) == 1
    assert "PartitionTimeLimit" in log.read_text().splitlines()[-1]
    assert not cluster.job_ids()
    short = command(
        tmp_path,
        "short",
        proposals,
        *ON_SLURM,
        "executor.minutes=1",
        "budget.steps=null",
        "budget.seconds=90",
    )
    assert started(short, log, cluster.environment).wait(PATIENCE_SECONDS) == 2
    assert "executor.minutes=1" in log.read_text().splitlines()[-1]


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
