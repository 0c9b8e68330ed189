"""The new root of levels 2 and 3: an empty tmpfs into which an allow-list is bound. Standard library only.

Read-only: interpreter, libraries, source, public data. Writable and sized: tmp, shm, out. Nothing else exists.
"""

import os
import stat

from harness.sandbox.launcher import kernel
from harness.sandbox.launcher.folders import copy_open, open_to_all, write_tree
from harness.sandbox.launcher.kernel import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
)
from harness.sandbox.launcher.plan import Plan

OLD, NEW = "/old", "/new"
_NOATIME, _NODIRATIME, _ST_RELATIME, _MS_RELATIME = 1024, 2048, 4096, 1 << 21
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/alternatives")
_SYSTEM = ("/sys/devices/system",)
_SYSTEM_WITH_GPU = ("/sys/devices", "/sys/bus", "/sys/class", "/sys/module", "/sys/dev")


def build_root(plan: Plan) -> int:
    """Replace this mount namespace's root by the allow-list; a descriptor of `out` is returned.

    Must run as pid 1 of a new pid namespace, in a new mount namespace. Raises OSError.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.mkdir("/tmp/old")
    os.mkdir("/tmp/new")
    kernel.pivot_root("/tmp", "/tmp/old")
    os.chdir("/")
    mount("tmpfs", NEW, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    # First: an interpreter may lie below it, as in a trial checkout.
    _sized("/tmp", plan.temporary_bytes, plan)
    for path in [*plan.readable, *_ETC]:
        _bind(path)
    _make_system(plan)
    _make_etc(plan)
    for path in plan.concealed:
        _conceal(f"{NEW}{path}")
    out = _make_trial_folders(plan)
    _remount_read_only(NEW, deep=False)
    os.chdir(NEW)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    return out


def _make_system(plan: Plan) -> None:
    """/proc, /dev and the little of /sys that thread libraries and the GPU driver read."""
    os.mkdir(f"{NEW}/proc", 0o755)
    mount("proc", f"{NEW}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.mkdir(f"{NEW}/dev", 0o755)
    for node in [*_DEVICES, *plan.device_nodes]:
        _bind(node, read_only=False)
    os.symlink("/proc/self/fd", f"{NEW}/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{NEW}/dev/{name}")
    for path in _SYSTEM_WITH_GPU if plan.device_nodes else _SYSTEM:
        _bind(path)


def _make_etc(plan: Plan) -> None:
    """Names for our one user, so that getpwuid works; never the machine's own files."""
    os.makedirs(f"{NEW}/etc", 0o755, exist_ok=True)
    user = os.getuid() if plan.uid is None else plan.uid
    for name, line in (("passwd", f"trial:x:{user}:{user}::/tmp:/bin/sh\n"), ("group", f"trial:x:{user}:\n")):
        with open(f"{NEW}/etc/{name}", "w") as file:
            file.write(line)


def _make_trial_folders(plan: Plan) -> int:
    os.makedirs(f"{NEW}{plan.place('tree')}", 0o755)
    write_tree(plan, f"{NEW}{plan.place('tree')}")
    data = f"{NEW}{plan.place('data')}"
    os.mkdir(data, 0o755)
    if plan.public:
        _show_public(f"{OLD}{plan.public}", data, plan.hidden)
    _sized("/dev/shm", plan.temporary_bytes, plan)
    _sized(plan.place("out"), plan.out_bytes, plan)
    return os.open(f"{NEW}{plan.place('out')}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _show_public(public: str, data: str, hidden: str) -> None:
    """Bound where every user may read it, else copied."""
    if not open_to_all(public):
        copy_open(public, data, hidden)
        return
    mount(public, data, flags=MS_BIND | MS_REC)
    _remount_read_only(data)
    if os.path.isdir(f"{data}/{hidden}"):
        empty = MS_RDONLY | MS_NOSUID | MS_NODEV
        mount("tmpfs", f"{data}/{hidden}", "tmpfs", empty, "mode=0755,size=4k")


def _sized(path: str, size: int, plan: Plan) -> None:
    owner = "" if plan.uid is None else f",uid={plan.uid},gid={plan.uid}"
    os.makedirs(f"{NEW}{path}", 0o755, exist_ok=True)
    mount(
        "tmpfs",
        f"{NEW}{path}",
        "tmpfs",
        MS_NOSUID | MS_NODEV,
        f"mode=0700,size={size},nr_inodes={plan.most_files}{owner}",
    )


def _bind(path: str, read_only: bool = True) -> None:
    """Show the machine's `path` at the same place; what does not exist is passed over, links are copied."""
    source, target = f"{OLD}{path}", f"{NEW}{path}"
    try:
        kind = os.lstat(source).st_mode
    except FileNotFoundError:
        return
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    if os.path.lexists(target) and not (read_only and os.path.isdir(target)):
        return
    if stat.S_ISLNK(kind):
        os.symlink(os.readlink(source), target)
        return
    if stat.S_ISDIR(kind):
        os.makedirs(target, 0o755, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        _remount_read_only(target)


def _conceal(target: str) -> None:
    """An empty folder, or nothing at all, in the place of ours."""
    if os.path.islink(target) or not os.path.exists(target):
        return
    if os.path.isdir(target):
        mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0000,size=4k")
    else:
        mount(f"{NEW}/dev/null", target, flags=MS_BIND)


def _remount_read_only(top: str, deep: bool = True) -> None:
    """`top` and, where it was bound recursively, everything mounted below it.

    Flags that a less privileged namespace may not clear are kept, or the kernel refuses the remount.
    """
    for point in _mount_points(top) if deep else [top]:
        seen = os.statvfs(point).f_flag
        flags = seen & (MS_NOSUID | MS_NODEV | MS_NOEXEC | _NOATIME | _NODIRATIME)
        flags |= _MS_RELATIME if seen & _ST_RELATIME else 0
        mount("none", point, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | flags)


def _mount_points(top: str) -> list[str]:
    """Mount points at or below `top`, outermost first."""
    with open(f"{OLD}/proc/self/mountinfo") as file:
        points = [line.split(" ")[4] for line in file]
    for character in " \t\n\\":  # as the kernel writes them; nothing can be imported here, codecs included
        points = [point.replace(f"\\{ord(character):03o}", character) for point in points]
    return sorted({point for point in points if point == top or point.startswith(f"{top}/")})
