"""Does a gain at this budget hold at a larger one? Kept changes at 1, 4 and 16 times their steps.

    make study NAME=transfer ARGS="--processes 2"
    make study NAME=transfer ARGS="--changes digits-momentum --runs 3"          smaller, some minutes

Each change of patches/ is proposed alone in a session of fixed steps (`keep=greedy`) and certified, then
`harness certify` measures it at 4 and 16 times the steps. Changes run side by side on cores of their own, and go on
when the same command comes again. Writes results.json, figure.svg and the table in README.md.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from many_cores import Command, machine_of, prepare, side_by_side, write_json
from shares import Interval, bars, figure, put_between

from harness.commands import run
from harness.errors import UserError
from harness.ledger.session_record import SessionRecord, load
from harness.report.words import transfer_word

HERE = Path(__file__).parent
STEPS = {"digits": 600, "nanochat": 160}
CAP = {"digits": 30, "nanochat": 120}  # CPU seconds for that many steps, many times what they take
TIMES = (4, 16)


def changes() -> list[str]:
    """TASK-NAME of every patch."""
    return sorted(file.stem for file in (HERE / "patches").glob("*.patch"))


def session_of(change: str, runs: int, slots: int, sessions: Path) -> tuple[str, ...]:
    """Arguments of the session that proposes this change alone."""
    task, folder = change.partition("-")[0], sessions / "patches" / change
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "patches" / f"{change}.patch", folder / "0001.patch")
    own = (
        f"task={task}",
        "agent=replay",
        f"agent.folder={folder}",
        "keep=greedy",
        f"budget.certificate={runs}",
    )
    work = (f"budget.steps={STEPS[task]}", f"budget.seconds={CAP[task]}", f"executor.slots={slots}")
    return (*own, *work, f"session.folder={sessions}", f"session.tag={change}", "tracking=none")


def told(change: str, session: SessionRecord, folder: Path) -> dict[str, Any]:
    """The certificate and what became of it, in the task's unit."""
    row = session.certificate
    own = None if row is None else {"gain": row.gain, "low": row.low, "high": row.high, "passed": row.passed}
    elsewhere = [
        {
            "times": round((each.clock.steps or 0) / (each.own_clock.steps or 1)),
            "steps": each.clock.steps,
            "gain": each.gain,
            "low": each.low,
            "high": each.high,
            "word": transfer_word(each),
            "trials": [len(each.head_scores), len(each.baseline_scores)],
        }
        for each in session.transfers
    ]
    seconds = session.active_seconds + sum(
        load(folder / each.folder).active_seconds
        for each in session.transfers
        if (folder / each.folder).is_dir()
    )
    return {
        "change": change,
        "unit": session.unit,
        "kept": len(session.keeps),
        "own": own,
        "elsewhere": elsewhere,
        "seconds": seconds,
    }


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The README's table."""
    yield "| change | certified at its own steps (95 %) | 4 times | 16 times |"
    yield "|---|---|---|---|"
    for row in rows:
        cells = [row["change"]]
        cells.append("not kept" if row["own"] is None else f"{_interval(row['own'])} {row['unit']}")
        for times in TIMES:
            found = next((each for each in row["elsewhere"] if each["times"] == times), None)
            cells.append("-" if found is None else f"{_interval(found)}: {found['word']}")
        yield "| " + " | ".join(cells) + " |"


def _interval(found: dict[str, Any]) -> str:
    return (
        "no score"
        if found["gain"] is None
        else f"{found['gain']:+.3g} ({found['low']:+.3g} to {found['high']:+.3g})"
    )


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Gains at 1, 4 and 16 times the steps, a panel a change."""
    shown = [row for row in rows if row["own"] is not None and row["own"]["gain"] is not None]
    with figure(file, 3.4 * max(1, len(shown)), 2.4, max(1, len(shown))) as panels:
        for row, axes in zip(shown, panels if len(shown) > 1 else [panels], strict=False):
            found = [{"times": 1, **row["own"]}, *row["elsewhere"]]
            for place, each in enumerate(found):
                if each["gain"] is not None:
                    bars(
                        axes,
                        place,
                        Interval(each["gain"], each["low"], each["high"]),
                        color="C0" if place else "C2",
                    )
            axes.set_yticks(range(len(found)), [f"{each['times']}x" for each in found])
            axes.invert_yaxis()
            axes.axvline(0, color="black", linewidth=0.8)
            axes.set_title(row["change"], fontsize=9)
            axes.set_xlabel(f"gain, {row['unit']} (95 %)", fontsize=8)


def _is_missing(folder: Path, times: int) -> bool:
    """Whether a change was kept and nobody knows what it gains at so many times the steps."""
    session = load(folder)
    known = {(each.clock.steps or 0) // (each.own_clock.steps or 1) for each in session.transfers}
    return bool(session.keeps) and times not in known


def measure(names: Sequence[str], chosen: argparse.Namespace, sessions: Path) -> None:
    """Every change's session, then each at more steps; what is there already is left out."""
    began = time.monotonic()
    for task in {name.partition("-")[0] for name in names}:
        prepare([f"task={task}"])
    begun = [
        Command(session_of(name, chosen.runs, chosen.slots, sessions), sessions / f"{name}.log")
        for name in names
    ]

    def left() -> float | None:
        return None if chosen.minutes is None else max(0.01, chosen.minutes - (time.monotonic() - began) / 60)

    side_by_side(begun, chosen.processes, left())
    for times in TIMES:
        missing = [name for name in names if _is_missing(sessions / name, times)]
        words = (f"budget.steps={times}x", f"runs={chosen.runs}")
        asked = [
            Command(("certify", str(sessions / name), *words), sessions / f"{name}.log") for name in missing
        ]
        side_by_side(asked, chosen.processes, left())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", default=",".join(changes()))
    parser.add_argument("--runs", type=int, default=5, help="trials of either side, at each number of steps")
    parser.add_argument(
        "--processes", type=int, default=1, help="changes at a time, each on cores of its own"
    )
    parser.add_argument("--slots", type=int, default=1, help="trials of a change at a time")
    parser.add_argument("--minutes", type=float, help="end in order after so many; the same command goes on")
    parser.add_argument("--sessions", type=Path, default=Path("sessions/transfer"))
    parser.add_argument("--read-only", action="store_true", help="make table and figure of what is there")
    parser.add_argument(
        "--out", type=Path, default=HERE, help="folder of results.json, figure.svg and README.md"
    )
    chosen = parser.parse_args(arguments)
    began, names, sessions = time.monotonic(), chosen.changes.split(","), chosen.sessions.resolve()
    if unknown := set(names) - {*changes()}:
        raise UserError(f"--changes {', '.join(sorted(unknown))}: choose {', '.join(changes())}")
    if not chosen.read_only:
        measure(names, chosen, sessions)
    names = [name for name in names if (sessions / name / "ledger.jsonl").is_file()]
    rows = [told(name, load(sessions / name), sessions / name) for name in names]
    about = {"runs": chosen.runs, "steps": STEPS, "machine": machine_of(chosen.processes)}
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_json(chosen.out / "results.json", {**about, "seconds": time.monotonic() - began, "changes": rows})
    draw(rows, chosen.out / "figure.svg")
    table = [*lines(rows)]
    print("\n".join(table))
    if (chosen.out / "README.md").is_file():
        put_between(chosen.out / "README.md", "result", table)
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/transfer/study.py", about=__doc__))
