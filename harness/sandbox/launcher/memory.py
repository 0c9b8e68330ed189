"""How much memory (and disk, in files without a name) a set of processes holds. Standard library only.

Counted: private memory and the tables of its pages; files in memory that are open (memfd, also unlinked ones of a
tmpfs); shared mappings; what lies in folders of memory, which the caller adds. Files that were sent through a socket
and not received are in nobody's hands: while there are such for long, whatever the machine has more in memory files
counts. Not counted: files of the referee's that were lent to the program, libraries, 64 MiB in pipes (the kernel's
limit). The exact count, with every page once, is slow and made only when the quick one is above the limit.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterable

from harness.sandbox.launcher import kernel

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512
_UNLENT = (
    0o777,
    0o666,
)  # modes of a memfd; the referee's have others, and without a user of its own none can be set
_SHARE = 20  # looks into descriptors take a twentieth of the time at most
_PATIENCE = 3
_SENT_SECONDS = 1.0  # who passes files on between processes receives them at once
Inode = tuple[int, int]


class Memory:
    """Of the processes that one program consists of."""

    def __init__(self, user: int | None, limit_bytes: int, folder: str) -> None:
        """user: theirs, None for our own. folder: where they keep files on a disk."""
        self._user, self._limit, self._folder = user, limit_bytes, f"{os.path.realpath(folder)}/"
        probe = os.memfd_create("probe")
        self._devices = {os.fstat(probe).st_dev}
        os.close(probe)
        with contextlib.suppress(OSError):
            self._devices.add(os.stat("/dev/shm").st_dev)
        self._ours: set[Inode] = set()
        self._files: dict[Inode, int] = {}
        self._blind: dict[int, int] = {}
        self._next_look = 0.0
        self._sent_since: float | None = None
        self._shared_before = _meminfo("Shmem:")
        self.bytes = 0
        self.unlinked_bytes = 0

    def look(self, processes: list[int], stored_bytes: int, counted_devices: Iterable[int] = ()) -> None:
        """stored_bytes: what lies in folders of memory. counted_devices: theirs."""
        with kernel.as_user(self._user):
            self._look(processes, stored_bytes, set(counted_devices))

    def _look(self, processes: list[int], stored_bytes: int, counted: set[int]) -> None:
        started = time.monotonic()
        looked = started >= self._next_look
        if looked:
            self._open_files(processes, counted)
            self._next_look = time.monotonic() + _SHARE * (time.monotonic() - started)
        private, shared, tables = (
            map(sum, zip(*map(_resident_bytes, processes), strict=True)) if processes else (0, 0, 0)
        )
        files = sum(self._files.values())
        self.bytes = private + tables + files + stored_bytes
        rise = _meminfo("Shmem:") - self._shared_before
        if private + tables + stored_bytes + max(files + shared, rise) > self._limit:
            if not looked:  # what was lent since then is not theirs
                self._open_files(processes, counted)
            self.bytes = tables + self._exactly(processes, private, stored_bytes, counted, rise)

    @property
    def sent(self) -> bool:
        """Whether files have been under way for long from one of them to another, or to itself."""
        return self._sent_since is not None and time.monotonic() - self._sent_since > _SENT_SECONDS

    @property
    def too_much(self) -> bool:
        """Above the limit, or somebody has made a process that cannot be looked into."""
        return self.bytes > self._limit or any(count > _PATIENCE for count in self._blind.values())

    def state(self) -> str:
        """In words, for the program's log."""
        if self.bytes > self._limit:
            return f"{self.bytes >> 20} MiB of memory in use, {self._limit >> 20} allowed"
        return "a process that cannot be looked into"

    def _open_files(self, processes: list[int], counted: set[int]) -> None:
        """Files without a name that somebody holds open. The machine's memory killer is to take them first, still."""
        self._files, self.unlinked_bytes = {}, 0
        blind: dict[int, int] = {}
        disk: dict[Inode, int] = {}
        sent = False
        for process in processes:
            try:
                numbers = os.listdir(f"/proc/{process}/fd")
                with open(f"/proc/{process}/oom_score_adj", "r+") as file:
                    if file.read().strip() != "1000":
                        file.write("1000")
            except PermissionError:
                if _has_memory(process):
                    blind[process] = self._blind.get(process, 0) + 1
                continue
            except OSError:
                continue  # gone
            for number in numbers:
                name = self._open_file(f"/proc/{process}/fd/{number}", counted, disk)
                sent = sent or (name.startswith("socket:") and _holds_files(process, number))
        self._blind, self.unlinked_bytes = blind, sum(disk.values())
        self._sent_since = (self._sent_since or time.monotonic()) if sent else None

    def _open_file(self, path: str, counted: set[int], disk: dict[Inode, int]) -> str:
        """Counts it; its name as the kernel gives it, "" for one that is gone."""
        try:
            state, name = os.stat(path), os.readlink(path)
        except OSError:
            return ""
        in_memory = name.startswith("/memfd:")
        if not stat.S_ISREG(state.st_mode) or (state.st_nlink and not in_memory):
            return name
        inode = (state.st_dev, state.st_ino)
        if in_memory and self._is_lent(state):
            self._ours.add(inode)
        elif in_memory or state.st_dev in self._devices - counted:
            self._files[inode] = state.st_blocks * _BLOCK
        elif name.startswith(self._folder):
            disk[inode] = state.st_blocks * _BLOCK
        return name

    def _is_lent(self, state: os.stat_result) -> bool:
        if self._user is not None:
            return state.st_uid != self._user
        return stat.S_IMODE(state.st_mode) not in _UNLENT

    def _exactly(self, processes: list[int], private: int, stored: int, counted: set[int], rise: int) -> int:
        """Pages that several processes share are counted once; those that were mapped and are not in use, as well."""
        own = 0
        mapped: dict[Inode, int] = {}
        room: dict[Inode, int] = {}
        for process in processes:
            try:
                own += _pss_anonymous(process)
                _shared_mappings(process, mapped, room)
            except OSError:
                own += _resident_bytes(process)[0]  # gone, or closed to us
        known = {
            inode: max(mapped.get(inode, 0), self._files.get(inode, 0))
            for inode in {*mapped, *self._files}
            if inode not in self._ours and inode[0] not in counted and self._is_memory(inode)
        }
        seen = sum(known.values())
        unused = sum(max(0, room.get(inode, 0) - size) for inode, size in known.items())
        hidden = rise if self.sent else unused
        return min(private, own) + stored + seen + max(0, min(hidden, rise - seen - stored))

    def _is_memory(self, inode: Inode) -> bool:
        return inode in self._files or inode[0] in self._devices


def available_bytes() -> int:
    """Memory that the machine can still give without swapping."""
    return _meminfo("MemAvailable:") or 1 << 62


def _meminfo(name: str) -> int:
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _has_memory(process: int) -> bool:
    """False for one that ends: it has given its memory back, and root owns what is shown of it."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/statm") as file:
        return file.read().split()[0] != "0"
    return False


def _holds_files(process: int, number: str) -> bool:
    """Whether open files wait in a socket to be received. Since Linux 5.6; before, nobody can tell."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/fdinfo/{number}") as file:
        return any(line.startswith("scm_fds:") and line.split()[1] != "0" for line in file)
    return False


def _resident_bytes(process: int) -> tuple[int, int, int]:
    """Private memory, what is mapped of files in memory, and the tables of its pages."""
    private = shared = tables = 0
    with contextlib.suppress(OSError), open(f"/proc/{process}/status") as file:
        for line in file:
            if line.startswith(("RssAnon:", "VmSwap:", "HugetlbPages:")):
                private += int(line.split()[1]) * 1024
            elif line.startswith("RssShmem:"):
                shared = int(line.split()[1]) * 1024
            elif line.startswith("VmPTE:"):
                tables = int(line.split()[1]) * 1024
    return private, shared, tables


def _pss_anonymous(process: int) -> int:
    with open(f"/proc/{process}/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(("Pss_Anon:", "SwapPss:")))


def _shared_mappings(process: int, mapped: dict[Inode, int], room: dict[Inode, int]) -> None:
    """Adds what is mapped of each file without a name; room: what could be, at most, of each that is mapped shared."""
    inode: Inode | None = None
    with open(f"/proc/{process}/smaps") as file:
        for line in file:
            word, _, rest = line.partition(" ")
            if word == "Pss:" and inode:
                mapped[inode] = mapped.get(inode, 0) + int(rest.split()[0]) * 1024
            elif not word.endswith(":"):
                start, _, end = word.partition("-")
                permissions, _, device, number = rest.split(None, 4)[:4]
                major, _, minor = device.partition(":")
                device_number = os.makedev(int(major, 16), int(minor, 16))
                inode = (device_number, int(number)) if line.endswith(" (deleted)\n") else None
                if inode and permissions.endswith("s"):
                    room[inode] = max(room.get(inode, 0), int(end, 16) - int(start, 16))
