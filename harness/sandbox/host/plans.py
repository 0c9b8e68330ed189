"""Turns a command into the launcher's plan."""

import os
import resource
import sys

from harness.errors import SandboxUnavailable
from harness.records import Files, Level
from harness.sandbox.host import interpreter
from harness.sandbox.host.command import Command
from harness.sandbox.host.concealment import Pieces, concealed, in_pieces
from harness.sandbox.host.devices import devices
from harness.sandbox.launcher import landlock
from harness.sandbox.launcher.folders import CACHE_FOLDER
from harness.sandbox.launcher.kernel import CAP_DAC_READ_SEARCH, has_capability
from harness.sandbox.launcher.plan import Plan, encode_tree

_INSIDE = "/trial"
_NOT_YET = "{folder}"  # stands for a folder that a program will have
_CACHES = (
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "CUDA_CACHE_PATH",
    "NUMBA_CACHE_DIR",
    "MPLCONFIGDIR",
)
_MOST_PATH_BYTES, _MOST_NAME_BYTES = 1024, 255
_THREADS_PER_PROCESS = 8  # the kernel counts threads


class BadTree(ValueError):
    """The files of a program cannot be written as a tree: its own fault, not the machine's."""


def check_tree(tree: Files) -> None:
    """Raises BadTree."""
    for name in tree:
        parts = name.split("/")
        try:
            sizes = [len(part.encode()) for part in parts]
        except UnicodeEncodeError:
            raise BadTree(f"not a file name: {name!a}") from None
        if (
            {"", ".", ".."} & set(parts)
            or "\0" in name
            or max(sizes) > _MOST_NAME_BYTES
            or sum(sizes) > _MOST_PATH_BYTES
        ):
            raise BadTree(f"not a plain relative path: {name[:200]!a}")
        if any("/".join(parts[:depth]) in tree for depth in range(1, len(parts))):
            raise BadTree(f"a file and a folder of one name: {name[:200]!a}")


def make_plan(
    command: Command, level: Level, folder: str, user: int | None, control: int, warm: bool = False
) -> Plan:
    """folder: a private folder of the machine, used where there is no mount namespace.

    warm: it goes on in an interpreter that was made for it, see `warm_environment`.

    Raises UserError (no such GPU), BadTree, SandboxUnavailable (a network of its own below level 2).
    """
    check_tree(command.tree)
    if command.loopback and level < Level.L2:
        raise SandboxUnavailable("a network of its own for a program needs isolation level L2 or L3")
    inside = _INSIDE if level >= Level.L2 else folder
    gpu = devices(command.gpu)
    places = {name: f"{inside}/{name}" for name in ("data", "out", "tree")}
    arguments = tuple(_placed(argument, places) for argument in command.arguments)
    script = f"{places['tree']}/{command.script}"
    readable = (*interpreter.readable_folders(), *gpu.readable, *command.readable)
    hidden = concealed(readable)
    pieces = _pieces(readable, hidden if level == Level.L1 else (), folder)
    prelude = f"{places['tree']}/{command.prelude}" if command.prelude else ""
    added = {name: _placed(value, places) for name, value in command.environment.items()}
    closed = level == Level.L1 and user is not None and not interpreter.reachable_by_others()
    if closed and not has_capability(CAP_DAC_READ_SEARCH):
        raise SandboxUnavailable(f"other users cannot get to the interpreter ({sys.base_prefix})")
    if level == Level.L1 and not landlock.abi():
        raise SandboxUnavailable("Landlock cannot be used")
    return Plan(
        level=int(level),
        argv=interpreter.command_line(
            script, arguments, places["tree"], pieces.packages, prelude, command.imports
        ),
        environment={
            **_environment(command, level, inside),
            **pieces.environment,
            **gpu.environment,
            **added,
        },
        folder=inside,
        tree=encode_tree(command.tree),
        uid=user,
        readable=pieces.readable,
        concealed=hidden,
        linked=pieces.linked,
        device_nodes=list(gpu.nodes),
        public=str(command.public.resolve()) if command.public else "",
        out_bytes=command.limits.out_bytes,
        temporary_bytes=command.temporary_bytes,
        most_files=command.most_files,
        memory_bytes=command.limits.memory_bytes,
        keep_capabilities=1 << CAP_DAC_READ_SEARCH if closed else 0,
        rlimits=_rlimits(command, level, user),
        landlock=landlock.abi(),
        packages=pieces.packages,
        prelude=prelude,
        warm=warm,
        loopback=command.loopback,
        control=control,
        kept=list(command.kept),
        caches=list(command.caches),
    )


def warm_environment(command: Command, level: Level) -> dict[str, str] | None:
    """What is known of a program's environment before there is one; libraries may look at it when they are imported.

    None where Python's own library lies elsewhere for each program. Raises UserError (no such GPU).
    """
    gpu = devices(command.gpu)
    readable = (*interpreter.readable_folders(), *gpu.readable, *command.readable)
    if level == Level.L1 and _pieces(readable, concealed(readable), _NOT_YET).environment:
        return None
    inside = _INSIDE if level >= Level.L2 else _NOT_YET
    known = {**_environment(command, level, inside), **gpu.environment}
    return {name: value for name, value in known.items() if _NOT_YET not in value}


def _pieces(readable: tuple[str, ...], hidden: tuple[str, ...], folder: str) -> Pieces:
    """As it is, where nothing of ours is in it (or something can be mounted over it)."""
    packages = interpreter.package_folders()
    if not hidden:
        return Pieces(readable, {}, packages, {})
    pieces = in_pieces(readable, tuple(packages), hidden)
    return pieces._replace(
        packages=[path.replace("{folder}", folder) for path in pieces.packages],
        environment={name: value.replace("{folder}", folder) for name, value in pieces.environment.items()},
    )


def _placed(argument: str, places: dict[str, str]) -> str:
    for name, path in places.items():
        argument = argument.replace(f"{{{name}}}", path)
    return argument


def _environment(command: Command, level: Level, inside: str) -> dict[str, str]:
    """From empty. Caches of every kind lie in the program's own tmp and go with it."""
    tmp = "/tmp" if level >= Level.L2 else f"{inside}/tmp"
    caches = {name: f"{tmp}/{CACHE_FOLDER}/{name.lower()}" for name in _CACHES}
    homes = {
        "HOME": tmp,
        "TMPDIR": tmp,
        "XDG_CACHE_HOME": f"{tmp}/{CACHE_FOLDER}",
        "XDG_CONFIG_HOME": f"{tmp}/config",
    }
    threads = {
        name: str(command.threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    }
    python = {
        "PYTHONHASHSEED": "0",  # the same seed, the same bits
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    words = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "USER": "trial", "LOGNAME": "trial"}
    return {**words, **homes, **caches, **threads, **python}


def _rlimits(command: Command, level: Level, user: int | None) -> dict[str, int]:
    """No limit on address space: CUDA and torch reserve far more than they use."""
    limits = command.limits
    tasks = limits.processes * _THREADS_PER_PROCESS
    if user is None and level < Level.L2:
        tasks += _tasks_of(os.getuid())  # the kernel counts all of this user's, whoever started them
    return {
        str(resource.RLIMIT_NPROC): tasks,
        str(resource.RLIMIT_NOFILE): limits.open_files,
        str(resource.RLIMIT_FSIZE): max(limits.out_bytes, command.temporary_bytes),
        str(resource.RLIMIT_CORE): 0,
        str(resource.RLIMIT_MSGQUEUE): 0,
    }


def _tasks_of(user: int) -> int:
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == user:
                    total += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue  # gone, or not ours
    return total
