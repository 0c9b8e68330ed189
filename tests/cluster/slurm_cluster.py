"""A Slurm of our own on this machine: munged, slurmctld and several slurmd, in a folder of its own."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch", "scontrol", "scancel")
_PATIENCE_SECONDS = 60.0


def missing() -> list[str]:
    """What Debian's packages slurmctld, slurmd, slurm-client and munge would bring."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class SlurmCluster:
    """nodes: how many slurmd; each may take so many jobs of a core as it has `cores`, whatever the machine has."""

    def __init__(self, folder: Path, nodes: int = 3, cores: int = 2) -> None:
        self.folder, self.nodes = folder, [f"node{number + 1}" for number in range(nodes)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "log", "munge", *self.nodes):
            (folder / name).mkdir(parents=True, exist_ok=True)
        os.chmod(folder / "munge", 0o700)
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        self._write_configuration(cores)

    def _write_configuration(self, cores: int) -> None:
        ports = _free_ports(1 + len(self.nodes))
        host = socket.gethostname()
        lines = [
            "ClusterName=test", f"SlurmctldHost={host}(127.0.0.1)", f"SlurmctldPort={ports[0]}",
            f"AuthInfo=socket={self.folder}/munge/socket", "AuthType=auth/munge", "CryptoType=crypto/munge",
            "SlurmUser=root", "SlurmdUser=root", f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/%n", f"SlurmctldPidFile={self.folder}/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/%n.pid", f"SlurmctldLogFile={self.folder}/log/slurmctld",
            f"SlurmdLogFile={self.folder}/log/%n", "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none",
            "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "SlurmdParameters=config_overrides",
            "ReturnToService=2", "SwitchType=switch/none", "MpiDefault=none", "SchedulerType=sched/backfill",
            "SchedulerParameters=sched_interval=1,bf_interval=1", "SlurmctldTimeout=10", "SlurmdTimeout=15",
            "KillWait=2",
            "InactiveLimit=0", "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny", "MinJobAge=300",
            "JobCompType=jobcomp/none", "AccountingStorageType=accounting_storage/none",
            "JobAcctGatherType=jobacct_gather/none",
        ]  # fmt: skip
        for name, port in zip(self.nodes, ports[1:], strict=True):
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory=8000"
            )
        lines.append(f"PartitionName=all Nodes={','.join(self.nodes)} Default=YES MaxTime=60 State=UP")
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """For whoever submits."""
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self) -> "SlurmCluster":
        munge = self.folder / "munge"
        self._start(
            "munged", "munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={munge}/key",
            f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log",
        )  # fmt: skip
        _until((munge / "socket").exists, "munged")
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        _until(
            lambda: self.said("sinfo", "-h", "-N", "-o", "%t").split().count("idle") == len(self.nodes),
            "nodes",
        )
        return self

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D", "-f", f"{self.folder}/slurm.conf")
        _until(lambda: "UP" in self.said("scontrol", "ping"), "slurmctld")

    def start_node(self, name: str) -> None:
        self._start(name, "slurmd", "-D", "-N", name, "-f", f"{self.folder}/slurm.conf")

    def kill(self, name: str) -> None:
        """A daemon, at once: "slurmctld" or a node's name."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def said(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def job_ids(self) -> list[str]:
        return self.said("squeue", "-h", "-r", "-o", "%i").split()

    def _start(self, key: str, *command: str) -> None:
        with open(self.folder / "log" / f"{key}.out", "ab") as log:
            self._processes[key] = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            for number in self.job_ids():
                self.said("scancel", "--signal=KILL", number)
        for process in reversed(list(self._processes.values())):
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(ready: object, what: str) -> None:
    assert callable(ready)
    end = time.monotonic() + _PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < end, f"{what} does not come up"
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":  # COMMAND...: runs it where such a cluster is
    with tempfile.TemporaryDirectory(prefix="slurm-") as place, SlurmCluster(Path(place)) as made:
        code = subprocess.run(sys.argv[1:], env=made.environment, check=False).returncode
    sys.exit(code)
