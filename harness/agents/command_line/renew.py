"""Lets a program renew its own login, outside the sandbox: it is the user's own, and only it knows how."""

import contextlib
import os
import subprocess
import tempfile

_SECONDS = 90.0
_KEPT = ("PATH", "HOME", "LANG", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


def renew(argv: tuple[str, ...]) -> None:
    """Asks the program for a word, in an empty folder and without any key of ours; it renews its login by itself.

    Nothing of a task is said to it. Its failure shows in the login, which is then as old as before.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
