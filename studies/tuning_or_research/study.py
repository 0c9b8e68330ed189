"""Tuning or research? Random search, TPE, CMA-ES and the recorded ideas on three learning tasks at equal trials.

    make study NAME=tuning_or_research ARGS="--processes 2"
    make study NAME=tuning_or_research ARGS="--tasks digits --trials 24 --processes 2"         smaller

Sessions with the default rule and guards, `--repeats` of each control (the recorded ideas are the same every time, and
few), side by side on cores of their own; gone on with when the same command comes again. What counts is the certified
gain: fresh trials on the sealed split. Writes results.json, ledgers.tar.xz and
figure.svg beside this file, and the table in README.md.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from many_cores import Command, machine_of, pack, prepare, side_by_side, unfinished, write_json
from shares import Interval, bars, figure, published

from harness.commands import run
from harness.errors import UserError
from harness.ledger.session_record import SessionRecord, load

HERE = Path(__file__).parent
AGENTS = ("random", "optuna", "cma_es", "replay")
WORDS = {"random": "random", "optuna": "TPE", "cma_es": "CMA-ES", "replay": "recorded ideas"}
BUDGETS: dict[str, tuple[str, ...]] = {
    "digits": ("budget=cpu",),
    "nanochat": ("budget=cpu", "budget.steps=160", "budget.seconds=60"),  # what 6 CPU seconds gave
    "query_expansion": ("budget=cpu", "budget.seconds=5"),  # a third of its profile
}
FIXED = ("nanochat",)  # work bounds a trial, so that a session may have several slots


class Arm(NamedTuple):
    task: str
    agent: str
    repeat: int

    @property
    def tag(self) -> str:
        return f"tuning-{self.task.replace('_', '-')}-{self.agent.replace('_', '-')}-{self.repeat}"


def arguments(arm: Arm, trials: int, slots: int, sessions: Path) -> tuple[str, ...]:
    """Of `python -m harness`."""
    own = (f"task={arm.task}", *BUDGETS[arm.task], f"agent={arm.agent}", f"budget.trials={trials}")
    several = (f"executor.slots={slots}",) if slots > 1 and arm.task in FIXED else ()
    return (*own, *several, f"session.folder={sessions}", f"session.tag={arm.tag}", "tracking=none")


def told(arm: Arm, session: SessionRecord) -> dict[str, Any]:
    """A session as a line of numbers. Nothing kept is a gain of 0: there is no change to certify."""
    row = session.certificate
    gain = row.gain if row is not None else (0.0 if not session.keeps else None)
    sealed = [score for score in (row.baseline_scores if row else ()) if score is not None]
    return {
        "task": arm.task,
        "agent": arm.agent,
        "repeat": arm.repeat,
        "ended": session.ended is not None,
        "trials": session.finished_trials,
        "proposals": len(session.decided),
        "keeps": len(session.keeps),
        "gain": gain,
        "low": row.low if row else gain,
        "high": row.high if row else gain,
        "passed": bool(row and row.passed),
        "baseline": session.baseline_score,
        "baseline_sealed": sum(sealed) / len(sealed) if sealed else None,
        "lines": dict(session.started.references),
        "sign": session.sign,
        "unit": session.unit,
        "seconds": session.active_seconds,
    }


def best_known(rows: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """How far from the baseline the best known line lies (in gain), and which: the task's, or a head of this study."""
    found = [(0.0, "the baseline")]
    for row in rows:
        found += [
            (row["sign"] * (value - row["baseline"]), name)
            for name, value in row["lines"].items()
            if row["baseline"] is not None
        ]
        if row["passed"]:
            found.append((row["gain"], f"the head of {WORDS[row['agent']]}"))
    return max(found)


def grouped(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for task, agent in dict.fromkeys((row["task"], row["agent"]) for row in rows):
        yield task, agent, [row for row in rows if (row["task"], row["agent"]) == (task, agent)]


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The README's table: a line a session."""
    yield "| task | who proposes | trials | proposals | kept | certified gain (95 %) | per cent of the way |"
    yield "|---|---|---|---|---|---|---|"
    for task, agent, sessions in grouped([row for row in rows if row["ended"]]):
        distance, _ = best_known([row for row in rows if row["task"] == task])
        for row in sessions:
            share = f"{100 * row['gain'] / distance:.0f} %" if distance and row["gain"] is not None else "-"
            cells = (task, WORDS[agent], row["trials"], row["proposals"], row["keeps"], gain_text(row), share)
            yield "| " + " | ".join(map(str, cells)) + " |"


def gain_text(row: Mapping[str, Any]) -> str:
    if not row["keeps"]:
        return "nothing kept"
    if row["gain"] is None:
        return "no certificate"
    word = "" if row["passed"] else ", not passed"
    return f"{row['gain']:+.3g} ({row['low']:+.3g} to {row['high']:+.3g}){word} {row['unit']}"


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Certified gains with 95 % intervals in per cent of the way to the best known line, a panel a task."""
    ended = [row for row in rows if row["ended"] and row["gain"] is not None]
    tasks = list(dict.fromkeys(row["task"] for row in ended))
    with figure(file, 4.2 * len(tasks), 2.8, len(tasks)) as panels:
        for task, axes in zip(tasks, panels if len(tasks) > 1 else [panels], strict=True):
            shown = [row for row in ended if row["task"] == task]
            distance, name = best_known(shown)
            for place, row in enumerate(shown):
                ends = (100 * row[key] / (distance or 1.0) for key in ("gain", "low", "high"))
                bars(axes, place, Interval(*ends), color="C0" if row["passed"] else "C7")
            axes.set_yticks(range(len(shown)), [WORDS[row["agent"]] for row in shown])
            axes.invert_yaxis()
            axes.axvline(0, color="black", linewidth=0.8)
            axes.set_title(f"{task}: 100 % is {name}", fontsize=9)
            axes.set_xlabel("certified gain, per cent of the way (95 %)")


def main(arguments_given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(BUDGETS))
    parser.add_argument("--agents", default=",".join(AGENTS))
    parser.add_argument("--repeats", type=int, default=1, help="sessions of each control")
    parser.add_argument("--trials", type=int, default=40, help="a session, its certificate's included")
    parser.add_argument(
        "--processes", type=int, default=1, help="sessions at a time, each on cores of its own"
    )
    parser.add_argument("--slots", type=int, default=1, help="trials at a time of a nanochat session")
    parser.add_argument("--minutes", type=float, help="end in order after so many; the same command goes on")
    parser.add_argument("--sessions", type=Path, default=Path("sessions/tuning_or_research"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    chosen = parser.parse_args(arguments_given)
    began, tasks = time.monotonic(), chosen.tasks.split(",")
    if unknown := set(tasks) - BUDGETS.keys():
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: choose {', '.join(BUDGETS)}")
    arms = [
        Arm(task, agent, repeat)
        for repeat, task, agent in itertools.product(
            range(1, chosen.repeats + 1), reversed(tasks), chosen.agents.split(",")
        )
        if agent != "replay" or repeat == 1
    ]
    sessions = chosen.sessions.resolve()
    for task in tasks:
        prepare([f"task={task}", *BUDGETS[task]])
    commands = [
        Command(arguments(arm, chosen.trials, chosen.slots, sessions), sessions / f"{arm.tag}.log")
        for arm in arms
    ]
    chosen.out.mkdir(parents=True, exist_ok=True)

    def write() -> list[dict[str, Any]]:
        there = [arm for arm in arms if (sessions / arm.tag / "ledger.jsonl").is_file()]
        rows = [told(arm, load(sessions / arm.tag)) for arm in there]
        about = {"machine": machine_of(chosen.processes), "seconds": time.monotonic() - began}
        write_json(chosen.out / "results.json", {**about, "sessions": rows})
        return rows

    statuses = side_by_side(commands, chosen.processes, chosen.minutes, write)
    rows = write()
    pack([sessions / arm.tag for arm in arms], chosen.out / "ledgers.tar.xz")
    if any(row["ended"] for row in rows):
        draw(rows, chosen.out / "figure.svg")
        table = [*lines(rows)]
        published(chosen.out / "README.md", table)
    print(*unfinished([arm.tag for arm in arms], statuses, sessions), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/tuning_or_research/study.py", about=__doc__))
