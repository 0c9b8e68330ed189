"""Sends the harness's own attacks (probe.py) through a sandbox and reports which were blocked."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import InfrastructureError
from harness.records import Json, Limits
from harness.sandbox.host.command import Command
from harness.sandbox.host.process import Process

_PROBE = Path(__file__).with_name("probe.py")
_LIMITS = Limits(memory_bytes=1 << 30, processes=8, out_bytes=16 << 20, log_bytes=1 << 14)
_SECONDS = 20.0
Start = Callable[[Command], Process]


def measured(start: Start) -> dict[str, Json] | str:
    """Attack -> was it blocked; or, where nothing could be started at all, why not."""
    token = f"harness-canary-{secrets.token_hex(8)}"
    try:
        with _targets(token) as settings:
            first, second = _attack(start, settings), _attack(start, settings)
            left = _named_processes(token)
    except InfrastructureError as error:
        return str(error)
    findings: dict[str, Json] = {name: not (first[name] or second[name]) for name in first}
    findings["leave_process"] = not left
    return findings


@contextlib.contextmanager
def _targets(token: str) -> Iterator[dict[str, object]]:
    """Things to attack: an open file in an open folder, listeners, ourselves."""
    folder = tempfile.mkdtemp(prefix="harness-canary-")
    canary = os.path.join(folder, "canary")
    Path(canary).write_text(token)
    os.chmod(folder, 0o777)
    os.chmod(canary, 0o666)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
            local.bind(f"\0{token}")
            local.listen()
            yield {"canary": canary, "token": token, "port": server.getsockname()[1], "referee": os.getpid()}
    finally:
        shutil.rmtree(folder)
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            with contextlib.suppress(OSError):
                os.unlink(f"{place}/{token}")  # left by a probe that nothing held


def _attack(start: Start, settings: dict[str, object]) -> dict[str, bool]:
    """Attack -> did it succeed. Raises InfrastructureError when the probe could not do its work."""
    tree = {"probe.py": _PROBE.read_bytes()}
    command = Command("probe.py", ("{out}", json.dumps(settings)), tree=tree, limits=_LIMITS)
    with start(command) as process:
        if not process.wait(_SECONDS):
            process.kill()
        try:
            file = os.open("findings.json", os.O_RDONLY, dir_fd=process.out)
        except OSError:
            raise InfrastructureError(f"the self-attack did not finish: {process.log[-600:]}") from None
        with open(file) as text:
            findings: dict[str, bool] = json.load(text)
    return findings


def _named_processes(token: str) -> list[int]:
    """Processes with this word on their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if token.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.append(int(name))
    return found
