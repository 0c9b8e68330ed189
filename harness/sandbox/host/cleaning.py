"""What must be gone when a program has ended: its processes, its folder, its files in shared memory."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

_KILL_USER = "import os, sys; user = int(sys.argv[1]); os.setresuid(user + 1, user, user + 1); os.kill(-1, 9)"


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """A folder of the machine that other users can reach; removed afterwards, however deep or closed it has become."""
    folder = tempfile.mkdtemp(prefix="harness-", dir=_reachable_parent())
    try:
        yield folder
    finally:
        if os.geteuid() != 0:  # a program with our own user may have closed its folders
            subprocess.run(["chmod", "-R", "u+rwX", "--", folder], check=False, capture_output=True)
        subprocess.run(["rm", "-rf", "--one-file-system", "--", folder], check=False, capture_output=True)


def sweeper(user: int | None) -> Callable[[bool], None]:
    """Called once when the launcher has gone. proven: it said that nobody is left; else we make sure ourselves."""

    def sweep(proven: bool) -> None:
        if user is not None:
            if not proven:
                kill_user(user)
            _remove_shared_memory(user)

    return sweep


def kill_user(user: int) -> None:
    """Kill every process of a user that only an untrusted program has."""
    command = [sys.executable, "-I", "-S", "-c", _KILL_USER, str(user)]
    subprocess.run(command, check=False, capture_output=True, env={})


def _remove_shared_memory(user: int) -> None:
    with os.scandir("/dev/shm") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == user:
                    subprocess.run(["rm", "-rf", "--", entry.path], check=False, capture_output=True)


def _reachable_parent() -> str:
    """The temporary folder, if every user can get there, else /tmp."""
    path = os.path.realpath(tempfile.gettempdir())
    parents = [path]
    while parents[-1] != "/":
        parents.append(os.path.dirname(parents[-1]))
    return path if all(os.stat(parent).st_mode & 0o001 for parent in parents) else "/tmp"
