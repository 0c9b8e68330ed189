"""A user of its own for every untrusted program, from numbers that nobody on this machine has."""

import os
import pwd
import random
import socket
from collections.abc import Iterator

_PREFERRED = (0x6000_0000, 0x7000_0000)
_ATTEMPTS = 1000


class NoUser(OSError):
    """This machine (or container) has no number to spare."""


class ReservedUser:
    """An even user number that is ours, with the one above it, until `close`: other harnesses see it taken.

    The reservation is an abstract socket name, which the kernel frees when we die.
    """

    def __init__(self) -> None:
        running = _running_users()
        for number in _candidates():
            pair = (number, number + 1)
            if running.isdisjoint(pair) and not any(map(_has_name, pair)) and self._reserve(number):
                self.number = number
                return
        raise NoUser("no free user number")

    def _reserve(self, number: int) -> bool:
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._lock.bind(f"\0harness-user-{number}")
        except OSError:
            self._lock.close()
            return False
        return True

    def close(self) -> None:
        self._lock.close()


def _candidates() -> Iterator[int]:
    """Random numbers that exist in our user namespace, high ones first; systemd's dynamic range is left alone."""
    ranges = []
    with open("/proc/self/uid_map") as file:
        for line in file:
            first, _, count = map(int, line.split())
            ranges.append((first, first + count))
    draw = random.SystemRandom()
    for low, high in (_PREFERRED, (66_000, 1 << 24), (20_000, 60_000), (65_520, 65_534)):
        for start, end in ranges:
            bottom, top = max(low, start), min(high, end)
            for _ in range(_ATTEMPTS if bottom + 4 < top else 0):
                yield draw.randrange(bottom + bottom % 2, top - 1, 2)


def _running_users() -> set[int]:
    users = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                users.add(os.stat(f"/proc/{name}").st_uid)
            except FileNotFoundError:
                continue
    return users


def _has_name(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True
