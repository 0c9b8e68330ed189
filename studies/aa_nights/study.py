"""Does it keep noise? A/A nights: every proposal changes nothing, so every keep is a mistake.

    make study NAME=aa_nights ARGS="--processes 2"                       as published, many hours on two cores
    make study NAME=aa_nights ARGS="--tasks digits --nights 1 --trials 20"       smaller, some minutes

Nights of real trials with the sandbox, dice and evaluator of a session, under each rule, side by side on cores of their
own. Sessions lie in --sessions and are gone on with when the same command comes again (`--minutes`: when to stop).
Writes results.json, ledgers.tar.xz and figure.svg beside this file, and the table in README.md.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from many_cores import Command, pack, prepare, side_by_side, unfinished, write_json
from shares import Interval, bars, binomial, figure, poisson, published

from harness.commands import run
from harness.errors import UserError
from harness.ledger.session_record import SessionRecord, load
from harness.records import Action
from harness.session import evidence

HERE = Path(__file__).parent
RULES = ("stack", "greedy")
BUDGETS: dict[str, tuple[str, ...]] = {
    "digits": ("budget=cpu",),
    "nanochat": (
        "budget=cpu",
        "budget.steps=160",
        "budget.seconds=60",
    ),  # what 6 CPU seconds gave on two cores
}
FIXED = ("nanochat",)  # work, not time, bounds a trial, so that a night may have several slots


class Night(NamedTuple):
    task: str
    rule: str
    number: int

    @property
    def tag(self) -> str:
        return f"aa-{self.task}-{self.rule}-{self.number}"


def arguments(night: Night, trials: int, slots: int, sessions: Path) -> tuple[str, ...]:
    """Of `python -m harness`. Guards that discard changes of nothing are left out."""
    own = (
        f"task={night.task}",
        *BUDGETS[night.task],
        f"keep={night.rule}",
        "agent=nothing",
        "guards=minimal",
    )
    where = (f"session.folder={sessions}", f"session.tag={night.tag}", "tracking=none")
    several = (f"executor.slots={slots}",) if slots > 1 and night.task in FIXED else ()
    return ("--config-dir", str(HERE / "conf"), *own, f"budget.trials={trials}", *several, *where)


def told(night: Night, session: SessionRecord) -> dict[str, Any]:
    """A night as a line of numbers."""
    row, level = session.certificate, evidence.noise(session)
    actions = Counter(str(settled.action) for settled in session.settlements)
    kept = [each for each in session.decided if each.level]
    return {
        "task": night.task,
        "rule": night.rule,
        "night": night.number,
        "ended": session.ended is not None,
        "trials": session.finished_trials,
        "decisions": len(session.decided),
        "keeps": len(kept),
        "races": len(session.settlements),
        "certified_steps": actions[str(Action.CERTIFY)],
        "rolled_back": actions[str(Action.ROLL_BACK)],
        "standing": len(session.keeps),
        "claimed": None if row is None else row.claimed,
        "certificate": None if row is None else {"gain": row.gain, "low": row.low, "high": row.high},
        "passed": None if row is None else row.passed,
        "sd": None if level is None else level.sd,
        "seconds": session.active_seconds,
        "machine": session.started.machine,
    }


def summary(nights: Sequence[dict[str, Any]], trials: int) -> dict[str, Interval]:
    """Of one task under one rule. A night that was stopped counts for as much of a night as it has trials."""
    made = sum(night["trials"] for night in nights) / trials
    decisions = sum(night["decisions"] for night in nights)
    certificates = [night["passed"] for night in nights if night["passed"] is not None]
    return {
        "keeps a decision": binomial(sum(night["keeps"] for night in nights), decisions),
        "keeps a night": poisson(sum(night["keeps"] for night in nights), made),
        "certified steps a night": poisson(sum(night["certified_steps"] for night in nights), made),
        "certificates passed": binomial(sum(certificates), len(certificates)),
    }


def grouped(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for task, rule in dict.fromkeys((row["task"], row["rule"]) for row in rows):
        yield task, rule, [row for row in rows if (row["task"], row["rule"]) == (task, rule)]


def lines(rows: Sequence[dict[str, Any]], trials: int) -> Iterator[str]:
    """The README's table."""
    head = "task, rule|nights begun, ended|trials|decisions|keeps|keeps a night|races"
    head += "|certified steps a night|certificates passed"
    yield "| " + head.replace("|", " | ") + " |"
    yield "|" + "---|" * (head.count("|") + 1)
    for task, rule, nights in grouped(rows):
        found, ended = summary(nights, trials), sum(night["ended"] for night in nights)
        sums = [str(sum(night[name] for night in nights)) for name in ("trials", "decisions", "keeps")]
        races = str(sum(night["races"] for night in nights)) if rule == "stack" else "-"
        steps = found["certified steps a night"].said(2) if rule == "stack" else "every keep is final"
        made = [night["passed"] for night in nights if night["passed"] is not None]
        cells = [
            f"{task}, {rule}",
            f"{len(nights)}, {ended}",
            *sums,
            found["keeps a night"].said(2),
            races,
            steps,
        ]
        yield "| " + " | ".join([*cells, f"{sum(made)} of {len(made)}"]) + " |"


def draw(rows: Sequence[dict[str, Any]], trials: int, file: Path) -> None:
    """Final keeps a night (the stack's certified steps, greedy's keeps) with 95 % intervals, and the stated error."""
    names = []
    with figure(file) as axes:
        for place, (task, rule, nights) in enumerate(grouped(rows)):
            found = summary(nights, trials)
            final = found["certified steps a night" if rule == "stack" else "keeps a night"]
            bars(axes, place, final, color={"stack": "C0", "greedy": "C3"}.get(rule, "C1"))
            names.append(f"{task}, {rule}")
        axes.axvline(0.05, linestyle="--", color="C0", label="the stack's stated error: .05")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"changes of nothing that stand, a night of {trials} trials (95 %)")
        axes.set_xlim(left=0)
        axes.legend(fontsize=8)


def main(arguments_given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="digits,nanochat")
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--nights", type=int, default=5, help="of each task under each rule")
    parser.add_argument("--trials", type=int, default=60, help="a night")
    parser.add_argument("--processes", type=int, default=1, help="nights at a time, each on cores of its own")
    parser.add_argument("--slots", type=int, default=1, help="trials at a time of a nanochat night")
    parser.add_argument("--minutes", type=float, help="end in order after so many; the same command goes on")
    parser.add_argument("--sessions", type=Path, default=Path("sessions/aa_nights"))
    parser.add_argument("--read-only", action="store_true", help="make tables and figure of what is there")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    chosen = parser.parse_args(arguments_given)
    began = time.monotonic()
    tasks, rules = chosen.tasks.split(","), chosen.rules.split(",")
    if unknown := set(tasks) - BUDGETS.keys():
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: choose {', '.join(BUDGETS)}")
    # Long nights first; the rules by turns, so that a changing machine changes for both
    nights = [
        Night(task, rule, number)
        for task, number, rule in itertools.product(
            sorted(tasks, reverse=True), range(1, chosen.nights + 1), rules
        )
    ]
    sessions = chosen.sessions.resolve()
    for task in [] if chosen.read_only else tasks:
        prepare([f"task={task}", *BUDGETS[task]])
    commands = [
        Command(arguments(night, chosen.trials, chosen.slots, sessions), sessions / f"{night.tag}.log")
        for night in nights
    ]
    chosen.out.mkdir(parents=True, exist_ok=True)

    def write() -> list[dict[str, Any]]:
        there = [night for night in nights if (sessions / night.tag / "ledger.jsonl").is_file()]
        rows = [told(night, load(sessions / night.tag)) for night in there]
        about = {"trials": chosen.trials}
        summaries = {f"{task}, {rule}": summary(of, chosen.trials) for task, rule, of in grouped(rows)}
        seconds = time.monotonic() - began
        write_json(
            chosen.out / "results.json", {**about, "seconds": seconds, "summary": summaries, "nights": rows}
        )
        return rows

    statuses = (
        [0] * len(commands)
        if chosen.read_only
        else side_by_side(commands, chosen.processes, chosen.minutes, write)
    )
    rows = [row for row in write() if row["decisions"]]
    pack([sessions / night.tag for night in nights], chosen.out / "ledgers.tar.xz")
    if rows:
        draw(rows, chosen.trials, chosen.out / "figure.svg")
        table = [*lines(rows, chosen.trials)]
        published(chosen.out / "README.md", table)
    print(*unfinished([night.tag for night in nights], statuses, sessions), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/aa_nights/study.py", about=__doc__))
