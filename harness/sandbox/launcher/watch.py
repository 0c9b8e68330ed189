"""Which processes are the program's, and their CPU time where no counter of the kernel has it (cpu_clock.py).

A dead child's time is in its parent's once the parent has waited for it, and the filter sees to it that it must: it
cannot choose to have its children vanish. So what is alive, what it has waited for, and what we have waited for is
everything. Where there is no filter (level 0) this is a lower bound.
"""

import os
import resource
from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")


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


class CpuMeter:
    """CPU seconds, a running total over looks."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], float] = {}
        self.cpu_seconds = 0.0

    def look(self, processes: Iterable[int]) -> None:
        waited = waited_seconds()
        for process in processes:
            fields = _stat(process)
            if not fields:
                continue
            own, children = _seconds(fields[11:13]), _seconds(fields[13:15])
            self._seen[process, fields[19]] = own
            waited += own + children
        self.cpu_seconds = max(self.cpu_seconds, sum(self._seen.values()), waited)


def waited_seconds() -> float:
    """CPU time of all whom we have waited for, and of whom they had waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _stat(process: int) -> list[str]:
    """Fields of /proc/<pid>/stat after the name: state, ppid, ...; empty when it is gone."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _seconds(ticks: list[str]) -> float:
    return sum(map(int, ticks)) / _TICKS
