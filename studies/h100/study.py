"""The H100: noise, step rates and where the wall clock goes, from ledgers that were recorded there.

    make study NAME=h100 ARGS="FOLDER ..."     reads sessions in or below the folders, adds them to records.json
    make study NAME=h100 ARGS="--bench LOG --card 'NVIDIA H100' --torch 2.11.0"   what bench_nanochat.py wrote
    make study NAME=h100                        only makes tables and figure again from records.json

A record is what a ledger says of one trial of an unmodified program: score, steps by its own count, and the seconds
of each part. Ledgers do not name hosts or paths here; the card and the versions are kept. attention.py beside this file
writes attention.json, which is shown, too. Writes records.json, figure.svg and the tables in README.md.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from many_cores import write_json
from shares import figure, put_between, spread

from harness.commands import run
from harness.errors import UserError
from harness.ledger.reading import session_folders
from harness.ledger.record_parts import TrialRecord, seconds_between
from harness.ledger.session_record import SessionRecord, load
from harness.records import Outcome, Role, step_rate

HERE = Path(__file__).parent
UNMODIFIED = (Role.BASELINE, Role.NOISE)
PARTS = ("startup", "billed", "ending", "scoring", "around")
PART_WORDS = {
    "startup": "before the gate (imports, compilation)",
    "billed": "training",
    "ending": "from the deadline to the artefact",
    "scoring": "scoring",
    "around": "rows, probes, sandbox",
}


def records(session: SessionRecord) -> Iterator[dict[str, Any]]:
    """Of every scored trial of the unmodified program."""
    about = {"task": session.started.task, "machine": kept(session.started.machine)}
    trials = [trial for role in UNMODIFIED for trial in session.trials_by_role[role]]
    for trial in sorted(trials, key=lambda trial: trial.start.seq):
        if trial.scored is None or trial.value is None or trial.outcome is not Outcome.COMPLETED:
            continue
        rate = step_rate(trial.measured.claims, trial.measured.billed_seconds)
        own = {
            "clock": trial.clock.seconds,
            "score": trial.value,
            "steps_a_second": rate,
            **seconds_of(trial),
        }
        yield {**about, "trial": f"{session.started.fingerprint[:8]}/{trial.trial_id}/{trial.seed}", **own}


def bench_records(log: Path, card: str, torch: str) -> Iterator[dict[str, Any]]:
    """Of every line of JSON that scripts/bench_nanochat.py wrote: our program and the script that everyone knows.

    Neither of them was scored beside its training, so that other parts than start-up and training are not known.
    """
    for line in log.read_text(errors="replace").splitlines():
        if not line.startswith('{"side"'):
            continue
        found = json.loads(line)
        billed = found["billed_seconds"]
        yield {
            "task": "nanochat" if found["side"] == "ours" else "autoresearch's script",
            "machine": {"gpus": [card], "torch": torch},
            "trial": f"{log.stem}/{found['side']}/{found['seed']}",
            "clock": float(10 * round(billed / 10)),
            "score": found["bpb"],
            "steps_a_second": found["steps"] / billed,
            "tokens_a_second": found["tokens_a_second"],
            "startup": round(found["startup_seconds"], 3),
            "billed": round(billed, 3),
        }


def seconds_of(trial: TrialRecord) -> dict[str, float]:
    """Seconds of each part of a trial."""
    seen, scored = trial.measured, trial.scored
    assert scored is not None
    whole = seconds_between(trial.start.time, scored.time)
    found = {"startup": seen.startup_seconds, "billed": seen.billed_seconds, "scoring": scored.seconds}
    found["ending"] = max(0.0, seen.wall_seconds - seen.startup_seconds - seen.billed_seconds)
    found["around"] = max(0.0, whole - seen.wall_seconds - scored.seconds)
    return {part: round(found[part], 3) for part in PARTS}


def kept(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What may be published of a machine."""
    return {
        name: machine.get(name) for name in ("processor", "cores", "memory_gib", "gpus", "python", "torch")
    }


def groups(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """By task, card and seconds, those with a card alone."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        cards = row["machine"].get("gpus") or []
        if cards:
            card = str(cards[0]["name"] if isinstance(cards[0], dict) else cards[0])
            about = f"{row['task']}, {row['clock']:g} s, {card}, torch {row['machine']['torch']}"
            found.setdefault(about, []).append(row)
    yield from sorted(found.items())


def noise_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| what | trials | mean score | sd of one trial (95 %) | steps a second | their spread |"
    yield "|---|---|---|---|---|---|"
    for name, of in groups(rows):
        scores, rates = (
            [row["score"] for row in of],
            [row["steps_a_second"] for row in of if row["steps_a_second"]],
        )
        sd = spread(scores).said(2) if len(scores) > 1 else "-"
        speed = f"{statistics.fmean(rates):.3g}" if rates else "-"
        steady = f"{statistics.stdev(rates) / statistics.fmean(rates):.1%}" if len(rates) > 1 else "-"
        yield f"| {name} | {len(of)} | {statistics.fmean(scores):.5g} | {sd} | {speed} | {steady} |"


def part_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"| what (medians, s) | {' | '.join(PART_WORDS.values())} | whole |"
    yield "|" + "---|" * (len(PARTS) + 2)
    for name, of in groups(rows):
        cells = [f"{_median(of, part):.1f}" if part in of[0] else "not measured" for part in PARTS]
        whole = statistics.median(sum(row.get(part, 0.0) for part in PARTS) for row in of)
        yield f"| {name} | {' | '.join(cells)} | {whole:.1f} |"


def _median(rows: Sequence[Mapping[str, Any]], part: str) -> float:
    return statistics.median(float(row.get(part, 0.0)) for row in rows)


def attention_lines(found: Mapping[str, Any]) -> Iterator[str]:
    versions = f"torch {found['torch']}, CUDA {found['cuda']}, cuDNN {found['cudnn']}"
    yield f"{found['card']}, {versions}; {found['repeats']} repeats."
    yield ""
    heads = (
        "backend",
        "answer repeats",
        "gradients repeat",
        "future changes the past",
        "batch changes a row",
    )
    yield f"| {' | '.join(heads)} | length does |"
    yield "|---|---|---|---|---|---|"
    for name, seen in found["backends"].items():
        if "refused" in seen:
            yield f"| {name} | refused: {seen['refused'][:90]} | | | | |"
            continue
        repeat = seen["repeat"]
        gradients = max((repeat[key] for key in ("grad_q", "grad_k", "grad_v")), key=lambda one: one["times"])
        cells = [
            _bits(repeat["answer"]),
            _bits(gradients),
            *(_bits(seen[key]) for key in ("causality", "batch", "length")),
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _bits(seen: Mapping[str, float]) -> str:
    if not seen["differing"]:
        return "same bits" if "times" in seen else "not a bit"
    times = f"{seen['times']:.0f} times, " if "times" in seen else ""
    return f"{times}{seen['differing']:.1%} of numbers, by {seen['largest']:.1g} at most"


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Where the seconds of a trial go, a bar a group."""
    shown = list(groups(rows))
    with figure(file, 9, 1.2 + 0.5 * len(shown)) as axes:
        left = [0.0] * len(shown)
        for part in PARTS:
            width = [_median(of, part) for _, of in shown]
            axes.barh(range(len(shown)), width, left=left, label=PART_WORDS[part])
            left = [one + other for one, other in zip(left, width, strict=True)]
        axes.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("seconds of wall clock (medians)")
        axes.legend(fontsize=7)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--bench", type=Path, help="a log of scripts/bench_nanochat.py")
    parser.add_argument("--card", default="?", help="that it ran on")
    parser.add_argument("--torch", default="?", help="version that it ran with")
    parser.add_argument("--attention", type=Path, default=HERE / "attention.json")
    parser.add_argument(
        "--out", type=Path, default=HERE, help="folder of records.json, figure.svg and README.md"
    )
    chosen = parser.parse_args(arguments)
    file = chosen.out / "records.json"
    known = json.loads(file.read_text()) if file.is_file() else []
    rows = {row["trial"]: row for row in known}
    for folder in chosen.folders:
        sessions = session_folders(folder)
        if not sessions:
            raise UserError(f"{folder} holds no session: there is no ledger.jsonl in or below it")
        for each in sessions:
            rows |= {row["trial"]: row for row in records(load(each))}
    if chosen.bench:
        rows |= {row["trial"]: row for row in bench_records(chosen.bench, chosen.card, chosen.torch)}
    if not rows:
        raise UserError("no records yet: give folders with sessions that ran on a card")
    found = [*rows.values()]
    write_json(file, found)
    readme = chosen.out / "README.md"
    for name, lines in (("noise", noise_lines(found)), ("wall clock", part_lines(found))):
        put_between(readme, name, [*lines])
    if chosen.attention.is_file():
        put_between(readme, "attention", [*attention_lines(json.loads(chosen.attention.read_text()))])
    draw(found, chosen.out / "figure.svg")
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "studies/h100/study.py", about=__doc__))
