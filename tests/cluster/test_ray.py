"""Sessions on a real Ray cluster that the tests start on this machine: two nodes, and whatever befalls them."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ledger import chain
from tests.cluster.conftest import assert_settled, command, rows_of, same_secret, started
from tests.cluster.ray_cluster import RayCluster

pytestmark = pytest.mark.ray
PATIENCE_SECONDS = 1500.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:

    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder, RayCluster(Path(folder)) as made:
        yield made  # a short path: Ray's sockets lie there


def on_ray(cluster: RayCluster) -> tuple[str, ...]:
    return (
        "executor=ray",
        "executor.slots=4",
        f"executor.address={cluster.address}",
        "executor.poll_seconds=0.5",
    )


def wait_for(trials: int, folder: Path, session: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while session.poll() is None and time.monotonic() < end:
        if sum(row["kind"] == "trial_finished" for row in rows_of(folder)) >= trials:
            return
        time.sleep(0.2)


def test_a_cluster_without_a_token_is_refused(proposals: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    log = tmp_path / "log"
    arguments = command(tmp_path, "open", proposals, "executor=ray")
    assert started(arguments, log, {"RAY_AUTH_MODE": "disabled"}).wait(PATIENCE_SECONDS) == 2
    assert "without a token" in log.read_text()


def test_another_token_is_said_in_a_line(cluster: RayCluster, proposals: Path, tmp_path: Path) -> None:
    """As is a missing one; and nothing is left of Ray's own lines about it."""
    for number, token in enumerate(("0" * 64, "")):
        log = tmp_path / f"log{number}"
        arguments = command(tmp_path, "wrong", proposals, *on_ray(cluster))
        assert (
            started(arguments, log, {**cluster.environment, "RAY_AUTH_TOKEN": token}).wait(PATIENCE_SECONDS)
            == 2
        )
        (line,) = log.read_text().splitlines()
        assert "knows this token" in line


def test_a_session_under_faults(cluster: RayCluster, one_slot: Path, proposals: Path, tmp_path: Path) -> None:
    """A killed actor, a killed node, a killed harness: every trial once, and the verdicts of one slot."""
    folder, log, draw = tmp_path / "many", tmp_path / "log", random.Random(0)
    same_secret(one_slot, folder)
    arguments = command(tmp_path, "many", proposals, *on_ray(cluster))
    session = started(arguments, log, cluster.environment)
    wait_for(2, folder, session)
    if workers := cluster.workers():
        draw.choice(workers).kill()
    wait_for(6, folder, session)
    cluster.kill("second")
    wait_for(9, folder, session)
    os.killpg(session.pid, signal.SIGKILL)
    session.wait()
    before = rows_of(folder)
    session = started(arguments, log, cluster.environment)
    assert session.wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
    rows = rows_of(folder)
    assert [row["hash"] for row in rows[: len(before)]] == [row["hash"] for row in before]
    assert_settled(folder, one_slot)
    failed = {
        row["reason"] for row in rows if row["kind"] == "trial_finished" and row["outcome"] == "infra_failed"
    }
    assert failed <= {"ray_actor_died", "ray_node_died", "interrupted", "not_wanted", "stopped"}


def test_what_no_node_has_is_said(cluster: RayCluster, proposals: Path, tmp_path: Path) -> None:
    """Ray lets it wait for ever; so do we, as a node may join, but not silently. Ctrl-C ends it in order."""
    folder, log = tmp_path / "large", tmp_path / "log"
    session = started(
        command(tmp_path, "large", proposals, *on_ray(cluster), "executor.memory_gib=4000"),
        log,
        cluster.environment,
    )
    end = time.monotonic() + PATIENCE_SECONDS
    while "no node of the cluster has what a trial needs" not in log.read_text() and time.monotonic() < end:
        assert session.poll() is None, log.read_text()[-3000:]
        time.sleep(0.2)
    session.send_signal(signal.SIGINT)
    assert session.wait(PATIENCE_SECONDS) == 130
    ends = [row["reason"] for row in rows_of(folder) if row["kind"] == "trial_finished"]
    assert ends
    assert set(ends) <= {"stopped"}


def test_when_the_head_dies_the_session_ends_in_order(proposals: Path, tmp_path: Path) -> None:
    """Ray itself would end the harness's process after a minute. The session goes on with a new cluster."""
    pytest.importorskip("ray")
    folder, log = tmp_path / "beheaded", tmp_path / "log"
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place, RayCluster(Path(place)) as one:
        arguments = command(
            tmp_path, "beheaded", proposals, *on_ray(one)[:2], "budget.proposals=2", "budget.certificate=0"
        )
        session = started([*arguments, f"executor.address={one.address}"], log, one.environment)
        wait_for(2, folder, session)
        one.kill("head")
        assert session.wait(PATIENCE_SECONDS) == 1
        assert "Ray's head has not answered" in log.read_text().splitlines()[-1]
        chain.check(folder)
        opened = {row["trial_id"] for row in rows_of(folder) if row["kind"] == "trial_started"}
        closed = {row["trial_id"] for row in rows_of(folder) if row["kind"] == "trial_finished"}
        assert opened == closed
        one.kill("second")
        one.start("head", *one.head_options)
        session = started([*arguments, f"executor.address={one.address}"], log, one.environment)
        assert session.wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
        chain.check(folder)


def test_the_agents_own_exit_is_told_from_rays_crash(cluster: RayCluster, tmp_path: Path) -> None:
    """In one call: an agent that cannot read its kit has an exit code; an actor that is killed has died."""
    code = f"""
import sys, time, ray
from pathlib import Path
from harness.slots import on_ray
from harness.slots.order import Order
from harness.slots.parcel import order_bytes, write
from harness.config.setup import load
from harness.records import *
from tests.slots.test_parcel import kit
on_ray._connect({cluster.address!r})
setup = load(["task=digits"])
made = kit(public={str(tmp_path)!r}, private={str(tmp_path)!r})
options = on_ray.Ray(address={cluster.address!r}, shared_folder=True, memory_gib=0.1)
actors = on_ray.Actors(options, made, Path({str(tmp_path)!r}))
actors._kit = b"{{}}" if sys.argv[1] == "exit" else made.to_bytes()
spec = TrialSpec("t-1@1", "", Role.NOISE, 1, Clock(), Limits())
folder = Path({str(tmp_path)!r}) / sys.argv[1]
folder.mkdir()
order = Order("t-1@1", spec, {{"train.py": b"import time; time.sleep(100)"}})
write(folder / "order.json", order_bytes(order, "word"))
actors.send([(order, folder)])
if sys.argv[1] == "died":
    time.sleep(1)
    ray.kill(ray.get_actor(actors._actor_name("t-1@1"), namespace="harness"))
end = time.monotonic() + 300
while not (found := actors.states({{"t-1@1": folder}})["t-1@1"]).over and time.monotonic() < end:
    time.sleep(0.2)
print("SAID", found.reason)
"""

    for how, said in (("exit", "SAID agent_exit_1"), ("died", "SAID ray_actor_died")):
        done = subprocess.run(
            [sys.executable, "-c", code, how], env={**os.environ, **cluster.environment}, capture_output=True,
            text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert said in done.stdout, done.stdout + done.stderr[-2000:]
