"""`harness doctor`: one page about this machine: what holds an untrusted program here, and what would hold it better.

With executor=slurm or executor=ray it makes a ten-second trial, with its scoring, on one node of every kind that the
queue or cluster has. Exit code 0 when results can be certified here (there: on every kind), 1 when not.

Examples:

    harness doctor
    harness doctor executor=slurm executor.partition=NAME
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from harness.commands import run
from harness.records import Json, Level
from harness.sandbox.host.causes import cause, filtered
from harness.sandbox.host.devices import visible_gpus
from harness.sandbox.host.measure import measured
from harness.sandbox.launcher import landlock
from harness.sandbox.machine import machine
from harness.sandbox.open import Command, Sandbox
from harness.task.prepare import cache_folder

_MEANS = {
    Level.L3: "a user of its own, namespaces, seccomp",
    Level.L2: "namespaces (unprivileged), seccomp",
    Level.L1: "Landlock, seccomp, as root a user of its own",
}
_ENOUGH_GIB = 10
_USUAL = ("numpy",)
_ELSEWHERE = "at this level Python's own library lies elsewhere for each program"


def main(arguments: list[str]) -> int:
    if arguments:
        from harness.session.queue_check import check

        return check(arguments)
    findings = {level: measured(Sandbox(level).start) for level in _MEANS}
    best = best_level(findings)
    for line in (*isolation_lines(findings, best), "", *_machine_lines(best)):
        print(line)
    return 0 if best else 1


def best_level(findings: Mapping[Level, dict[str, Json] | str]) -> Level | None:
    """The highest that blocked everything; None below L1."""
    held = [level for level, result in findings.items() if isinstance(result, dict) and all(result.values())]
    return max(held, default=None)


def isolation_lines(findings: Mapping[Level, dict[str, Json] | str], best: Level | None) -> Iterator[str]:
    """The level, what each mechanism blocked of the harness's own attacks, and what to do for a higher one."""
    yield f"isolation      {best.name} ({_MEANS[best]})" if best else "isolation      L0: nothing holds here"
    if not best:
        yield "               nothing is certified; sandbox.allow_unsafe=true goes on, reports say UNVERIFIED"
    attacks = dict.fromkeys(
        name for result in findings.values() if isinstance(result, dict) for name in result
    )
    if attacks:
        yield f"  {'attack':22}" + "".join(f"{level.name:14}" for level in findings)
    for attack in attacks:
        cells = (_cell(result, attack) for result in findings.values())
        yield f"  {attack:22}" + "".join(f"{cell:14}" for cell in cells).rstrip()
    for level, result in findings.items():
        if best is None or level > best:
            found = cause(level, result)
            yield f"  {level.name} cannot be had: {found.what}"
            yield f"     {found.cure}"


def _cell(result: dict[str, Json] | str, attack: str) -> str:
    if isinstance(result, str):
        return "-"
    return "blocked" if result.get(attack) else "GETS THROUGH"


def _machine_lines(best: Level | None) -> Iterator[str]:
    facts = machine()
    yield f"user           {'root' if os.geteuid() == 0 else f'unprivileged ({os.geteuid()})'}"
    refusal = landlock.refusal(filtered())
    yield f"landlock       {refusal[0] if refusal else f'version {landlock.abi()}'}"
    if best:
        yield f"CPU time       {_cpu_clock(best)}"
        yield f"starts         {_starts(best)}"
    yield f"processor      {facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB, {facts['system']}"
    gpus = facts["gpus"]
    yield f"gpu            {', '.join(map(str, gpus)) if isinstance(gpus, list) and gpus else 'none'}"
    yield f"gpu nodes      {' '.join(visible_gpus()) or 'none'}"
    yield f"python, torch  {facts['python']} at {sys.executable}, torch {facts['torch']}"
    yield f"compiled code  {_compiled()}"
    for name, place in (
        ("data cache", cache_folder()),
        ("here", Path.cwd()),
        ("temporary", Path(tempfile.gettempdir())),
    ):
        yield _disk_line(name, place)


def _compiled() -> str:
    """Whether programs can compile here, and whose trials find what was compiled."""
    compilers = (os.environ.get("CC", ""), "gcc", "clang", "cc")
    found = next(filter(None, (shutil.which(name) for name in compilers if name)), "")
    if not found:
        return "no C compiler: torch.compile and Triton fail without one (apt-get install gcc g++)"
    kept = "kept for a program's later trials where profiles use a GPU (executor.compile_once)"
    return f"by {found}; {kept}"


def _cpu_clock(level: Level) -> str:
    with Sandbox(level).start(Command("empty.py", tree={"empty.py": b""})) as process:
        if process.cpu_clock_of_kernel:
            return "counted exactly, by the kernel, for all processes of a trial"
    return (
        "counted exactly: perf_event_open is refused, so every process of a trial is waited for;"
        " a trial's handlers of SIGCHLD are never called"
    )


def _starts(level: Level) -> str:
    """Whether programs begin in an interpreter that is there already, and through which no attack gets."""
    sandbox = Sandbox(level)
    with closing(sandbox):
        if sandbox.interpreters.find(Command("", imports=_USUAL)):
            return "warm: trials and predictors find their imports made"
        return f"cold, each imports anew: {'; '.join(sandbox.interpreters.problems.values()) or _ELSEWHERE}"


def _disk_line(name: str, place: Path) -> str:
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / (1 << 30)
    warning = "" if free >= _ENOUGH_GIB else f"; {_ENOUGH_GIB} GiB are recommended"
    return f"disk           {free:.0f} GiB free for {name} ({place}){warning}"


if __name__ == "__main__":
    sys.exit(run(main, "harness.doctor", about=__doc__))
