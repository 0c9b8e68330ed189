"""Why a level cannot be had on this machine, and what would cure it: looked up, not guessed from the level."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from harness.records import Json, Level
from harness.sandbox.host import interpreter
from harness.sandbox.launcher import landlock
from harness.sandbox.launcher.kernel import CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, has_capability

_NO_PROFILE = "in Docker: --security-opt seccomp=unconfined"
_FREE_MOUNTS = "in Docker: --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
_SWITCHES = {  # file below /proc/sys -> value that forbids namespaces, what to set
    "kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


class Cause(NamedTuple):
    """what: stands in the way. cure: one sentence that says what to do."""

    what: str
    cure: str


def cause(level: Level, result: Json) -> Cause:
    """result: what measuring the level gave: why nothing could be started, or attack -> was it blocked."""
    if isinstance(result, dict):
        through = ", ".join(attack for attack, blocked in result.items() if not blocked)
        return Cause(f"not blocked: {through}", _ADVICE.get(level, ""))
    said = str(result)
    found = _CAUSES[level](said) if level in _CAUSES else None
    return found or Cause(said, _ADVICE.get(level, ""))


def _root(said: str) -> Cause | None:
    if os.geteuid() != 0:
        return Cause("the harness does not run as root", "run it as root, or be content with L2 or L1")
    if not has_capability(CAP_SYS_ADMIN):
        return Cause(
            "root without CAP_SYS_ADMIN, as in a container with default rights",
            "in Docker: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
    return _namespace(said)


def _unprivileged(said: str) -> Cause | None:
    for name, (value, cure) in _SWITCHES.items():
        if _setting(name) == value and (os.geteuid() != 0 or name == "user/max_user_namespaces"):
            return Cause(f"{name.replace('/', '.')} is {value}: no user namespaces for ordinary users", cure)
    return _namespace(said)


def _namespace(said: str) -> Cause | None:
    if re.search(r"(unshare|clone).*not permitted", said):
        if filtered():
            return Cause(
                "a system-call filter (the container's seccomp profile) refuses namespaces", _NO_PROFILE
            )
        return Cause("the kernel refuses namespaces", "ask who runs this machine for user namespaces")
    if "mount" in said:
        return Cause(f"mounts are refused ({said})", _FREE_MOUNTS)
    return None


def _landlock(said: str) -> Cause | None:
    if refusal := landlock.refusal(filtered()):
        return Cause(*refusal)
    if closed := closed_folder():
        return Cause(
            f"the trial's user cannot get to the interpreter: {closed} is closed to other users",
            f"chmod o+x {closed}, or use a Python outside it (e.g. of the system)",
        )
    if "seccomp" in said:
        return Cause(
            f"the kernel has no system-call filters ({said})", "use a kernel with CONFIG_SECCOMP_FILTER"
        )
    return None


_CAUSES = {Level.L3: _root, Level.L2: _unprivileged, Level.L1: _landlock}
_ADVICE = {
    Level.L3: "L3 needs root with CAP_SYS_ADMIN, namespaces and mounts",
    Level.L2: "L2 needs user namespaces for ordinary users, and mounts in them",
    Level.L1: "L1 needs Landlock (Linux 5.13 or later) and system-call filters",
}


def closed_folder() -> str:
    """The outermost folder on the way to the interpreter that other users cannot pass; "" where that is no matter."""
    if os.geteuid() != 0 or interpreter.reachable_by_others() or has_capability(CAP_DAC_READ_SEARCH):
        return ""
    for path in interpreter.readable_folders():
        real = Path(os.path.realpath(path))
        for folder in reversed(real.parents):
            if not folder.stat().st_mode & 0o001:
                return str(folder)
    return ""


def filtered() -> bool:
    """Whether a system-call filter already lies on this process, as in a container."""
    return "\nSeccomp:\t2" in Path("/proc/self/status").read_text()


def _setting(name: str) -> str:
    try:
        return Path(f"/proc/sys/{name}").read_text().strip()
    except OSError:
        return ""
