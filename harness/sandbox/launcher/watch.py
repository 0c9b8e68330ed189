"""Counts memory, and CPU time where no counter does it exactly, of a set of processes from /proc.

CPU seconds are a lower bound: a process that lived and died between two looks, with its parent ignoring
SIGCHLD, leaves no trace here (see cpu_clock.py).
"""

import os
import resource
from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def all_processes() -> list[int]:
    """Everything in this pid namespace but ourselves."""
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def descendants() -> list[int]:
    """Children of this process and theirs; orphans come to us because we are their subreaper."""
    parents: dict[int, list[int]] = {}
    for process in all_processes():
        fields = _stat(process)
        if fields:
            parents.setdefault(int(fields[1]), []).append(process)
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def descends_from_us(process: int) -> bool:
    """Whether it (a process or a thread of one) is a child of this process, or a child of one, ..."""
    own = os.getpid()
    while process > 1:
        fields = _stat(process)
        if not fields:
            return False
        process = int(fields[1])
        if process == own:
            return True
    return False


def group_descends_from_us(group: int) -> bool:
    """A group lies within one session, and every session of a descendant was begun by one."""
    return any(fields[2] == str(group) for fields in map(_stat, descendants()) if fields)


class Meter:
    """Running totals over looks."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self._seen: dict[tuple[int, str], float] = {}
        self._limit = memory_limit_bytes
        self.cpu_seconds = 0.0
        self.memory_bytes = 0

    def look(self, processes: Iterable[int], stored_bytes: int = 0) -> None:
        """Sample once. stored_bytes: what the program keeps in memory-backed folders."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        waited = usage.ru_utime + usage.ru_stime
        memory = 0
        living = []
        for process in processes:
            fields = _stat(process)
            if not fields:
                continue
            living.append(process)
            own, children = _seconds(fields[11:13]), _seconds(fields[13:15])
            self._seen[process, fields[19]] = own
            waited += own + children
            memory += _anonymous_bytes(process)
        self.cpu_seconds = max(self.cpu_seconds, sum(self._seen.values()), waited)
        if memory + stored_bytes > self._limit:  # pages that forks share were counted more than once
            memory = min(memory, _proportional_bytes(living))
        self.memory_bytes = memory + stored_bytes

    @property
    def too_much_memory(self) -> bool:
        return self.memory_bytes > self._limit


def available_bytes() -> int:
    """Memory that the machine can still give without swapping."""
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62


def _proportional_bytes(processes: Iterable[int]) -> int:
    """Memory with shared pages divided among their users: slow and exact."""
    total = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon:"))
        except OSError:
            total += _anonymous_bytes(process)  # a kernel without this file, or closed to us
    return total


def _stat(process: int) -> list[str]:
    """Fields of /proc/<pid>/stat after the name: state, ppid, ...; empty when it is gone."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _seconds(ticks: list[str]) -> float:
    return sum(map(int, ticks)) / _TICKS


def _anonymous_bytes(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return max(0, int(fields[1]) - int(fields[2])) * _PAGE
