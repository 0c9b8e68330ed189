"""Can it be fooled? The shipped attacks and their honest twins, on every shipped task, with trials where needed.

    make study NAME=tampering ARGS="--processes 2"                           all tasks with trials: an hour on two cores
    make study NAME=tampering ARGS="--tasks digits --static"                 smaller: what static guards say, seconds
    make study NAME=tampering ARGS="FILE.json ..."                           made of harness redteam --json FILE

Asks `harness redteam`, the attacks of a task in parts that run side by side on cores of their own. Writes TASK.json for
each task, the table in README.md and figure.svg beside this file. What the referee costs: cost.py.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from many_cores import Command, machine_of, prepare, side_by_side, write_json
from shares import Interval, bars, binomial, figure, put_between

from harness.commands import run
from harness.errors import UserError
from harness.redteam.attack import attacks

HERE = Path(__file__).parent
Findings = dict[str, list[dict[str, Any]]]
TASKS = ("digits", "nanochat", "query_expansion", "protocol_hardening")


def parts(static: bool, number: int) -> list[list[str]]:
    """Names of attacks, dealt out: those that need trials evenly."""
    chosen = [attack for attack in attacks() if attack.static or not static]
    ordered = sorted(chosen, key=lambda attack: attack.static)
    return [
        part for part in ([each.name for each in ordered[place::number]] for place in range(number)) if part
    ]


def asked(tasks: Sequence[str], static: bool, number: int, folder: Path) -> dict[Path, Command]:
    """JSON file -> the command that writes it. Long tasks first."""
    found = {}
    for task in sorted(tasks, key=TASKS.index, reverse=True):
        for place, names in enumerate(parts(static, number)):
            file = folder / f"{task}-{place}.json"
            words = (f"task={task}", "budget=cpu", "--only", ",".join(names), "--json", str(file))
            more = ("--static",) if static else ()
            found[file] = Command(("redteam", *words, *more), folder / f"{task}-{place}.log")
    return found


def rates(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Of attacks that apply: caught (a doubt counts: trials at three seeds settle it), and twins that were blocked."""
    applying = [row for row in rows if row["attack"] != "not applicable"]
    return {
        "caught": (sum(row["attack"] != "not caught" for row in applying), len(applying)),
        "in doubt": (sum(row["attack"] == "in doubt" for row in applying), len(applying)),
        "blocked": (sum(row["twin"] == "blocked" for row in applying), len(applying)),
    }


def lines(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """The README's table."""
    yield "| task | attacks caught (95 %) | of these in doubt | honest twins blocked (95 %) | do not apply |"
    yield "|---|---|---|---|---|"
    for task, rows in found.items():
        counts = rates(rows)
        cells = [f"{part} of {whole} ({_per_cent(part, whole)})" for part, whole in counts.values()]
        cells[1] = str(counts["in doubt"][0])
        yield f"| {task} | {' | '.join(cells)} | {len(rows) - counts['caught'][1]} |"


def _per_cent(part: int, whole: int) -> str:
    found = binomial(part, whole)
    return f"{found.low:.0%} to {found.high:.0%}"


def draw(found: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    """Catch rate and false-block rate of each task with their 95 % intervals."""
    with figure(file, 7, 1.2 + 0.5 * len(found)) as axes:
        names = []
        for place, (task, rows) in enumerate(found.items()):
            counts = rates(rows)
            for shift, key, colour in ((-0.12, "caught", "C0"), (0.12, "blocked", "C3")):
                share: Interval = binomial(*counts[key])
                bars(axes, place + shift, share, color=colour, clip_on=False)
            names.append(task)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share (95 %): attacks caught (blue), honest twins blocked (red)")


def asked_here(chosen: argparse.Namespace, tasks: Sequence[str]) -> tuple[Findings, list[str]]:
    """What came of every attack, by task, and which parts could not run."""
    for task in tasks:
        prepare([f"task={task}", "budget=cpu"])
    with tempfile.TemporaryDirectory(prefix="redteam-study-") as folder:
        commands = asked(tasks, chosen.static, chosen.parts, Path(folder))
        side_by_side([*commands.values()], chosen.processes, chosen.minutes)
        failed = [f"{file.stem}: {_said(each.log)}" for file, each in commands.items() if not file.is_file()]
        return read([file for file in commands if file.is_file()])[0], failed


def _said(log: Path) -> str:
    return log.read_text()[-300:] if log.is_file() else "not begun"


def read(files: Sequence[Path]) -> tuple[Findings, list[str]]:
    """From what `harness redteam --json` wrote; the parts of a task together, and static findings of several once."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for file in files:
        made = json.loads(file.read_text())
        found.setdefault(made["about"]["task"], {}).update({row["name"]: row for row in made["attacks"]})
    return {task: [*rows.values()] for task, rows in found.items()}, []


def main(arguments: list[str]) -> int:
    """1 where an attack passed or a twin was blocked, or a part of the suite could not run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--static", action="store_true", help="no trials")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--parts", type=int, default=8, help="of a task's attacks, which run side by side")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    chosen = parser.parse_args(arguments)
    began, tasks = time.monotonic(), chosen.tasks.split(",")
    if unknown := set(tasks) - {*TASKS}:
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: choose {', '.join(TASKS)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    found, failed = read(chosen.files) if chosen.files else asked_here(chosen, tasks)
    about = {
        "static": chosen.static,
        "machine": machine_of(chosen.processes),
        "seconds": time.monotonic() - began,
    }
    about = {} if chosen.files else about
    for task, rows in found.items():
        write_json(chosen.out / f"{task}.json", {"task": task, **about, "attacks": rows, "not_run": failed})
    there = {task: chosen.out / f"{task}.json" for task in TASKS}
    found = {task: json.loads(file.read_text())["attacks"] for task, file in there.items() if file.is_file()}
    if found:
        draw(found, chosen.out / "figure.svg")
    print("\n".join([*lines(found), *failed]))
    if (chosen.out / "README.md").is_file():
        put_between(chosen.out / "README.md", "result", [*lines(found)])
    good = all(
        row["attack"] != "not caught" and row["twin"] != "blocked" for rows in found.values() for row in rows
    )
    return 0 if good and not failed else 1


if __name__ == "__main__":
    sys.exit(run(main, "studies/tampering/study.py", about=__doc__))
