"""A Ray cluster of our own on this machine: a head and a second node, with a token, in folders of their own."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.cluster.slurm_cluster import _free_ports

_PATIENCE_SECONDS = 300.0
_ROOT = Path(__file__).resolve().parent.parent.parent


class RayCluster:
    """cores: that each node says it has."""

    def __init__(self, folder: Path, cores: int = 2) -> None:
        self.folder, self.cores = folder, cores
        self.port = _free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": str(int(_PATIENCE_SECONDS)),
            "RAY_TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def __enter__(self) -> "RayCluster":
        self.start(
            "head", "--head", f"--port={self.port}", f"--temp-dir={self.folder}", "--include-dashboard=false"
        )
        self.start("second", f"--address={self.address}")
        return self

    def start(self, name: str, *options: str) -> None:
        """Returns when the node is there."""
        log = self.folder / f"{name}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", f"--num-cpus={self.cores}"]
        sizes = ["--memory=16000000000", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
        with log.open("wb") as stream:
            self._nodes[name] = subprocess.Popen(
                [*command, *sizes, *options], stdout=stream, stderr=stream, env={**os.environ, **self.environment},
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE_SECONDS
        while b"Ray runtime started" not in log.read_bytes():
            assert self._nodes[name].poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.5)

    def kill(self, name: str) -> None:
        """A node with all its workers, at once."""
        process = self._nodes.pop(name)
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            each.kill()
        process.wait()

    def workers(self) -> list[psutil.Process]:
        """Actors at work, on any of our nodes."""
        found = []
        for process in self._nodes.values():
            for each in psutil.Process(process.pid).children(recursive=True):
                if each.name().startswith("ray::Bench"):
                    found.append(each)
        return found

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._nodes.values()):
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(children, timeout=20)
            for each in alive:
                each.kill()
            process.kill()
            process.wait()
