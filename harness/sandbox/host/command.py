"""What is asked of the sandbox, and what came of it."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.records import Files, Limits


@dataclass(frozen=True, slots=True)
class Command:
    """One untrusted Python program.

    script: path in the tree. arguments: "{data}", "{out}" and "{tree}" in them become the paths inside.
    tree: all files beside the script; importable, but shadowing no library.
    public: a folder shown read-only as {data}, without its child train/ (training data come through the gate).
    prelude: path in the tree of a program of ours that runs in the same interpreter before the script.
    imports: modules of libraries that are imported before the prelude, whether the program names them or not.
    warm: may go on in an interpreter that has imported them, see warm.py.
    environment: added to the sandbox's own few variables; the names in braces become paths here, too.
    caches: descriptors of packed files (launcher/folders.py) that lie in the program's private cache folder when it
    starts; its own copies, gone with it.
    kept: descriptors that the program inherits at the same numbers. gpu: index among the GPUs that this machine
    shows. threads: what OpenMP and MKL may use.
    most_files: in out/, /tmp and /dev/shm, each. temporary_bytes: size of the latter two, each.
    readable: more paths of the machine, shown read-only.
    loopback: a network with nothing in it but the program itself (levels 2 and 3 only); otherwise there is none.
    """

    script: str
    arguments: tuple[str, ...] = ()
    tree: Files = field(default_factory=dict)
    public: Path | None = None
    limits: Limits = field(default_factory=Limits)
    prelude: str = ""
    imports: tuple[str, ...] = ()
    warm: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    caches: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    gpu: int | None = None
    threads: int = 1
    temporary_bytes: int = 2 << 30
    most_files: int = 65536
    readable: tuple[str, ...] = ()
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How a program ended; no process of it is left.

    status: exit code, or minus the signal's number. killed: by us, on the referee's word. limit: "memory",
    "disk" or "" : which of its limits the launcher saw it break (and killed it for).
    proven: the launcher itself said that no descendant is left (False when it was lost).
    lost: a process of ours that watched it went before it could say how it ended, and not on the referee's word.
    """

    status: int
    cpu_seconds: float
    peak_memory_bytes: int
    killed: bool = False
    limit: str = ""
    proven: bool = True
    lost: bool = False

    @property
    def unexplained(self) -> bool:
        """By a signal that no limit of ours sends, or nobody knows how: it may have been struck from outside."""
        if self.killed or self.limit or self.status == -signal.SIGSYS:  # that is of the filter of calls
            return False
        return self.lost or self.status < 0
