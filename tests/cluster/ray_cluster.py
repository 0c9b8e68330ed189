"""A Ray cluster of our own on this machine: a head and a second node, with a token, in folders of their own."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.cluster.slurm_cluster import _free_ports

_PATIENCE_SECONDS = 300.0
_TRIES = 3
_ROOT = Path(__file__).resolve().parent.parent.parent


class RayCluster:
    """cores: that each node says it has."""

    def __init__(self, folder: Path, cores: int = 2) -> None:
        self.folder, self.cores = folder, cores
        self.port = _free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self.head_options = (
            "--head", f"--port={self.port}", f"--temp-dir={folder}", "--include-dashboard=false",
        )  # fmt: skip
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_raylet_start_wait_time_s": str(int(_PATIENCE_SECONDS)),
            "RAY_TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def __enter__(self) -> "RayCluster":
        self.start("head", *self.head_options)
        self.start("second", f"--address={self.address}")
        return self

    def start(self, name: str, *options: str) -> None:
        """Returns when the node is there. On a busy machine a raylet gives up when its agent is not there after some
        twenty seconds, and `ray start` waits for it for ever: then it is started again.
        """
        for left in reversed(range(_TRIES)):
            if self._started(name, *options):
                return
            assert left, (self.folder / f"{name}.log").read_text()[-2000:]
            self.kill(name)

    def _started(self, name: str, *options: str) -> bool:
        log = self.folder / f"{name}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", f"--num-cpus={self.cores}"]
        sizes = ["--memory=16000000000", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
        with log.open("wb") as stream:
            self._nodes[name] = subprocess.Popen(
                [*command, *sizes, *options], stdout=stream, stderr=stream, env={**os.environ, **self.environment},
                process_group=0,
            )  # fmt: skip
        end, seen = time.monotonic() + _PATIENCE_SECONDS, False
        while b"Ray runtime started" not in log.read_bytes():
            there = any(each.name() == "raylet" for each in self._processes(name))
            gone, seen = seen and not there, seen or there
            if gone or self._nodes[name].poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def _processes(self, name: str) -> list[psutil.Process]:
        """Of one of our nodes, without the one that started them."""
        try:
            return psutil.Process(self._nodes[name].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self, name: str) -> None:
        """A node with all its workers, at once."""
        for each in self._processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process = self._nodes.pop(name)
        process.kill()
        process.wait()

    def workers(self) -> list[psutil.Process]:
        """Actors at work, on any of our nodes."""
        found = []
        for name in self._nodes:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [each for each in self._processes(name) if each.name().startswith("ray::Bench")]
        return found

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._nodes)):
            children = self._processes(name)
            self._nodes[name].send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(children, timeout=20)
            for each in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            self._nodes[name].kill()
            self._nodes[name].wait()


if __name__ == "__main__":  # COMMAND...: runs it with such a cluster, {address} in its words is the cluster's
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place, RayCluster(Path(place)) as made:
        words = [word.replace("{address}", made.address) for word in sys.argv[1:]]
        code = subprocess.run(words, env={**os.environ, **made.environment}, check=False).returncode
    sys.exit(code)
