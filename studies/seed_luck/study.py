"""What is seed luck worth? The best of 20 seeds, measured again on fresh trials, under each setting of the dice.

    make study NAME=seed_luck ARGS="digits --processes 2"
    make study NAME=seed_luck ARGS="digits --seeds 5 --fresh 4 --processes 2"          smaller
    make study NAME=seed_luck ARGS="gpu --gpus 0,0,0"                      one card, three trials at a time

As scripts/seed_hunt.py (which says what a wired seed is), the trials of all settings side by side, each on cores of
its own. Writes NAME.json for each thing that is named (digits, nanochat, gpu) and figure.svg of all that are there.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from many_cores import Bench, Job, machine_of, together, write_json
from seed_hunt import DICE, compared, wired
from shares import Interval, bars, figure

from harness.commands import run
from harness.config.setup import load
from harness.errors import UserError
from harness.records import Files

HERE = Path(__file__).parent
WHAT: dict[str, tuple[str, ...]] = {
    "digits": (
        "task=digits",
        "budget.steps=600",
        "budget.seconds=60",
    ),  # work: luck alone, whatever else runs here
    "nanochat": ("task=nanochat", "budget=cpu"),
    "gpu": ("task=nanochat", "budget=gpu", "budget.steps=200", "budget.seconds=120", "data.shards=4"),  # 26M tokens
}
WORDS = {
    "none": "neither",
    "order": "the order of the data",
    "salt": "the salt of all seeding",
    "both": "both, as sessions do",
}
GROUPS = ("as it is", "winner", "42", "137")


def hunt(
    arguments: Sequence[str],
    dice: Sequence[str],
    seeds: int,
    fresh: int,
    processes: int,
    gpus: tuple[int, ...],
    made: Path,
) -> list[dict[str, Any]]:
    """One entry a setting of the dice. made: what trials came to, for a study that is ended; it goes on from there.

    Raises UserError for a trial without a score.
    """
    source = load([*arguments]).task.source()
    benches = [Bench((*arguments,), name, gpus) for name in dice]
    hunts = [(place, Job(wired(source, seed))) for seed in range(1, seeds + 1) for place in range(len(dice))]
    losses = _losses("hunted", benches, hunts, processes, made)
    tables: list[dict[int, float]] = [{} for _ in dice]
    for number, loss in enumerate(losses):
        tables[number % len(dice)][number // len(dice) + 1] = loss
    winners = [min(table, key=lambda seed: table[seed]) for table in tables]
    jobs = [
        (place, Job(program))
        for _ in range(fresh)  # by turns: a machine that drifts does so for all of them
        for place, winner in enumerate(winners)
        for program in _programs(source, winner)
    ]
    measured = _losses("fresh", benches, jobs, processes, made)
    found = []
    for place, (name, table) in enumerate(zip(dice, tables, strict=True)):
        own = [loss for (at, _), loss in zip(jobs, measured, strict=True) if at == place]
        groups = {group: own[number :: len(GROUPS)] for number, group in enumerate(GROUPS)}
        winner = winners[place]
        found.append(
            {
                "dice": name,
                "winner": winner,
                "promised": sum(table.values()) / seeds - table[winner],
                "kept": compared(groups["as it is"], groups["winner"]),
                "42 to 137": compared(groups["42"], groups["137"]),
                "hunted": table,
                "fresh": groups,
            }
        )
    return found


def _programs(source: Files, winner: int) -> list[Files]:
    return [source, wired(source, winner), wired(source, 42), wired(source, 137)]


def _losses(
    part: str, benches: Sequence[Bench], jobs: Sequence[tuple[int, Job]], processes: int, made: Path
) -> list[float]:
    """One without a score is made once more: loaded machines cut some now and then. Raises UserError."""
    named = [(place, _name(benches[at], job, part, place)) for place, (at, job) in enumerate(jobs)]
    known = _known(made)
    for _ in range(2):
        left = [(place, name) for place, name in named if name not in known]
        found = together(benches, [jobs[place] for place, _ in left], processes) if left else ()
        for (_, name), loss in zip(left, found, strict=True):
            print(f"trial {len(known) + 1}: {loss}", file=sys.stderr, flush=True)
            if isinstance(loss, float):
                known[name] = loss
                with made.open("a") as file:
                    print(json.dumps([name, loss]), file=file)
    if failed := [name for _, name in named if name not in known]:
        raise UserError(f"{len(failed)} of {len(named)} trials have no score")
    return [known[name] for _, name in named]


def _name(bench: Bench, job: Job, *place: str | int) -> str:
    """The same for the same trial of the same study, however often it is begun."""
    asked = repr([bench.arguments, bench.dice, sorted(job.source.items()), job.seed, place])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _known(made: Path) -> dict[str, float]:
    return dict(map(json.loads, made.read_text().splitlines())) if made.is_file() else {}


def lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """The README's table."""
    rows = ["| the referee draws | the winner promised | it kept | 137 in place of 42 |", "|---|---|---|---|"]
    for row in found:
        kept, patch = (
            f"{gains['gain']:+.3g} ({gains['low']:+.3g} to {gains['high']:+.3g})"
            for gains in (row["kept"], row["42 to 137"])
        )
        rows.append(f"| {WORDS[row['dice']]} | {row['promised']:+.3g} | {kept} | {patch} |")
    return rows


def draw(folder: Path) -> None:
    """What the winner promised and what it kept, a panel for each result in the folder."""
    there = [(name, folder / f"{name}.json") for name in WHAT if (folder / f"{name}.json").is_file()]
    with figure(folder / "figure.svg", 4.6 * len(there), 2.8, len(there)) as panels:
        for (name, file), axes in zip(there, panels if len(there) > 1 else [panels], strict=True):
            rows = json.loads(file.read_text())["dice"]
            for place, row in enumerate(rows):
                kept = row["kept"]
                bars(axes, place, Interval(kept["gain"], kept["low"], kept["high"]), color="C0")
                axes.plot(row["promised"], place, "x", color="C3")
            axes.set_yticks(range(len(rows)), [WORDS[row["dice"]] for row in rows])
            axes.invert_yaxis()
            axes.axvline(0, color="black", linewidth=0.8)
            axes.set_title(name)
            axes.set_xlabel("gain: promised (x), kept (95 %)")


def main(arguments_given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", choices=[*WHAT, []], metavar="|".join(WHAT))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fresh", type=int, default=20)
    parser.add_argument("--dice", default=",".join(DICE))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--gpus", default="", help="cards, for gpu: a trial at a time for each that is named")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    chosen = parser.parse_args(arguments_given)
    gpus = tuple(int(number) for number in filter(None, chosen.gpus.split(",")))
    dice = chosen.dice.split(",")
    if unknown := set(dice) - DICE.keys():
        raise UserError(f"--dice {', '.join(sorted(unknown))}: choose {', '.join(DICE)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for what in chosen.what or ["digits"]:
        began, cards = time.monotonic(), gpus if what == "gpu" else ()
        processes = len(cards) or chosen.processes
        made = chosen.out / f"{what}.trials.jsonl"
        found = hunt(WHAT[what], dice, chosen.seeds, chosen.fresh, processes, cards, made)
        about = {"seeds": chosen.seeds, "fresh": chosen.fresh, "machine": machine_of(processes)}
        seconds = time.monotonic() - began
        write_json(chosen.out / f"{what}.json", {"what": what, **about, "seconds": seconds, "dice": found})
        made.unlink(missing_ok=True)
        print("\n".join([f"{what}, {chosen.seeds} seeds, {seconds:.0f} s", *lines(found)]), flush=True)
    draw(chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/seed_luck/study.py", about=__doc__))
