"""Whom the users inside a new user namespace are outside. Standard library only.

Unprivileged, there is one: ourselves, by another number. Root may map more and keeps the untrusted program away
from its own user, to whom /proc/sys would be writable: root stays root for the set-up, the program's user is
one that nobody has.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_INSIDE_USER = 1000


@contextmanager
def prepared(other: int | None) -> Iterator[None]:
    """Unshare within the block. other: the second user to be had inside, under its own number. Raises OSError."""
    process, user, group = os.getpid(), os.geteuid(), os.getegid()
    if other is None:
        yield
        _write(process, ("setgroups", "deny"), ("uid_map", f"{_INSIDE_USER} {user} 1"))
        _write(process, ("gid_map", f"{_INSIDE_USER} {group} 1"))
        return
    unshared_read, unshared_write = os.pipe2(os.O_CLOEXEC)
    writer = os.fork()  # stays outside, where the right to map users is
    if writer == 0:
        try:
            os.close(unshared_write)
            if os.read(unshared_read, 1):
                _write(process, ("uid_map", f"{user} {user} 1\n{other} {other} 1"))
                _write(process, ("gid_map", f"{group} {group} 1\n{other} {other} 1"))
                os._exit(0)
        finally:
            os._exit(1)
    os.close(unshared_read)
    try:
        yield
        os.write(unshared_write, b"!")
    finally:
        os.close(unshared_write)
        status = os.waitpid(writer, 0)[1]
    if status != 0:
        raise PermissionError("no right to map a second user into a user namespace")


def _write(process: int, *files: tuple[str, str]) -> None:
    for name, text in files:
        with open(f"/proc/{process}/{name}", "w") as file:
            file.write(text)
