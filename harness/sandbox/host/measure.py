"""Sends the harness's own attacks (probe.py) through a sandbox and reports which were blocked."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError, SandboxUnavailable
from harness.records import Json, Limits
from harness.sandbox.host.command import Command
from harness.sandbox.host.concealment import private
from harness.sandbox.host.process import Process
from harness.sandbox.wire import reopened, sealed_file

_PROBE = Path(__file__).with_name("probe.py")
_LIMITS = Limits(memory_bytes=1 << 30, processes=8, out_bytes=16 << 20, log_bytes=1 << 14)
_SECONDS = 20.0
Start = Callable[[Command], Process]


def measured(start: Start) -> dict[str, Json] | str:
    """Attack -> was it blocked; or, where nothing could be started at all, why not.

    A self-attack that was struck from outside says nothing of the sandbox: it is made once more.
    """
    try:
        return _measured(start)
    except SandboxUnavailable as error:
        return str(error)
    except InfrastructureError:
        pass
    try:
        return _measured(start)
    except InfrastructureError as error:
        return str(error)


def _measured(start: Start) -> dict[str, Json]:
    """Raises InfrastructureError."""
    token = f"harness-canary-{secrets.token_hex(8)}"
    gate = sealed_file(token.encode())
    try:
        with _targets(token) as settings:
            first = _attack(start, settings, gate)
            os.unlink(settings["shared"])  # with it there, /dev/shm may be withheld; now it is not
            second = _attack(start, settings, gate)
            left, stored = _named_processes(token), _stored(token)
    finally:
        os.close(gate)
    marks = [findings.pop("marks") for findings in (first, second)]
    findings: dict[str, Json] = {name: not (first[name] or second[name]) for name in first}
    findings["keep_something"] = findings["keep_something"] is True and not stored
    findings["mark_gate_files"] = marks[0] == marks[1]
    findings["leave_process"] = not left
    return findings


@contextlib.contextmanager
def _targets(token: str) -> Iterator[dict[str, Any]]:
    """Things to attack: an open file in an open folder, listeners, memory to share, ourselves."""
    with contextlib.ExitStack() as held:
        folder = tempfile.mkdtemp(prefix="harness-canary-")
        held.callback(shutil.rmtree, folder)
        held.callback(_remove_stored, token)
        canary, shared = f"{folder}/canary", f"/dev/shm/{token}-shared"
        for path in (canary, shared):
            Path(path).write_text(token)
            os.chmod(path, 0o666)
        held.callback(Path(shared).unlink, missing_ok=True)
        server = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        for kind, place in (
            (socket.SOCK_STREAM, f"\0{token}"),
            (socket.SOCK_STREAM, f"{folder}/socket"),
            (socket.SOCK_DGRAM, f"{folder}/box"),
        ):
            _listen(held.enter_context(socket.socket(socket.AF_UNIX, kind)), place)
        os.chmod(folder, 0o777)
        yield {
            "canary": canary,
            "shared": shared,
            "segment": held.enter_context(_segment()),
            "socket": f"{folder}/socket",
            "box": f"{folder}/box",
            "token": token,
            "port": server.getsockname()[1],
            "referee": os.getpid(),
            "user": os.geteuid(),
            "private": private(),
        }


def _listen(listener: socket.socket, place: str) -> None:
    listener.bind(place)
    if listener.type == socket.SOCK_STREAM:
        listener.listen()
    if not place.startswith("\0"):
        os.chmod(place, 0o777)


@contextlib.contextmanager
def _segment() -> Iterator[int | None]:
    """A page of System V memory that everybody may use; None where there is no such thing."""
    libc = ctypes.CDLL(None)
    number = libc.shmget(0, 4096, 0o1666)
    try:
        yield number if number >= 0 else None
    finally:
        if number >= 0:
            libc.shmctl(number, 0, None)  # IPC_RMID


def _remove_stored(token: str) -> None:
    """What was left by a probe that nothing held."""
    for path in _stored(token):
        with contextlib.suppress(OSError):
            os.unlink(path)


def _stored(token: str) -> list[str]:
    return [path for place in ("/tmp", "/var/tmp", "/dev/shm") if os.path.exists(path := f"{place}/{token}")]


def _attack(start: Start, settings: dict[str, Any], gate: int) -> dict[str, Json]:
    """Attack -> did it succeed. gate: a file as the gate hands it out.

    Raises InfrastructureError when the probe could not do its work.
    """
    tree = {"probe.py": _PROBE.read_bytes()}
    file = reopened(gate)
    told = json.dumps({**settings, "gate": file})
    command = Command("probe.py", ("{out}", told), tree=tree, limits=_LIMITS, kept=(file,))
    try:
        with start(command) as process:
            if not process.wait(_SECONDS):
                process.kill()
            return _findings(process)
    finally:
        os.close(file)


def _findings(process: Process) -> dict[str, Json]:
    try:
        file = os.open("findings.json", os.O_RDONLY, dir_fd=process.out)
    except OSError:
        raise InfrastructureError(f"the self-attack did not finish: {process.log[-600:]}") from None
    with open(file) as text:
        findings: dict[str, Json] = json.load(text)
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
