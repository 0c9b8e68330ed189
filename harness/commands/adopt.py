"""`harness adopt PATH [name=NAME] [tasks=FOLDER] [trials=4] [key=value ...]`: an autoresearch checkout as a task.

PATH is a checkout of autoresearch or of a fork of it (git or not). What was found is shown as a table, and a task
folder is written: the checkout's own training script byte for byte, its program.md, and what of the harness stands
in for its prepare.py. Nothing in PATH is written, and nothing of it runs outside a sandbox. Then a few trials of the
unmodified script measure how much of its budget goes by uncounted, and how much a score varies with the seed;
trials=0 leaves that out.

  harness adopt ~/autoresearch                   tasks/autoresearch in the current folder
  harness adopt ~/autoresearch name=mine         another name
  harness task=autoresearch agent=claude         what can be done then
  harness task=autoresearch agent=replay         which keeps of its recorded night hold up?
"""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import run
from harness.errors import UserError
from harness.records import Role

if TYPE_CHECKING:
    from harness.task.adoption.survey import Survey

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DEFAULT_TRIALS = 4
_OWN = ("name", "tasks", "trials")
_RESERVE = 1.15  # what the first trial took beyond its own count may be so much more another time
_RESERVE_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Raises HarnessError, and then the task folder is not there."""
    from harness.sandbox.open import open_sandbox
    from harness.task.adoption.survey import survey
    from harness.task.adoption.tokenizer import exported
    from harness.task.adoption.writing import write

    path, own, rest = _arguments(arguments)
    found = survey(path)
    name = own.get("name") or _name_for(path)
    target = Path(own.get("tasks", "tasks")) / name
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a task: small letters, digits and _, a letter first; give name=..."
        )
    trials = own.get("trials", str(_DEFAULT_TRIALS))
    if not trials.isdecimal():
        raise UserError(f"trials={trials}: give a whole number, 0 for none")
    for line in table(found):
        print(line)
    tokenizer = exported(found.tokenizer, open_sandbox())
    written = write(found, tokenizer, target)
    print(f"\nwrote {target}: {', '.join(written)}")
    if int(trials):
        _measure(found, target, name, int(trials), rest)
    print(f"\nnext: harness check-task {name}; harness task={name} agent=claude budget.dollars=20")
    return 0


def _arguments(arguments: list[str]) -> tuple[Path, dict[str, str], list[str]]:
    if not arguments or "=" in arguments[0]:
        raise UserError("usage: harness adopt PATH [name=NAME] [tasks=FOLDER] [trials=4] [key=value ...]")
    pairs = dict(each.split("=", 1) for each in arguments[1:] if "=" in each)
    odd = [each for each in arguments[1:] if "=" not in each]
    if odd:
        raise UserError(f"{odd[0]!r} is not key=value")
    path = Path(arguments[0]).expanduser()
    if not path.is_dir():
        raise UserError(f"{path} is not a folder")
    own = {key: value for key, value in pairs.items() if key in _OWN}
    return path.resolve(), own, [f"{key}={value}" for key, value in pairs.items() if key not in _OWN]


def _name_for(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "_", path.name.lower()).strip("_") or "adopted"


def table(found: "Survey") -> list[str]:
    """What was found, what becomes of it, and why."""
    seeds = "; ".join(found.seeds[:3]) or "none"
    rows = [
        ("editable", ", ".join(found.editable), "byte for byte as they are"),
        (
            "metric",
            f"{found.metric} of {found.evaluate}",
            "computed by the referee from raw logits; lower is better",
        ),
        (
            "time budget",
            f"{found.time_budget_seconds:g} s",
            "billed from the first training batch: the script's own warm-up counts",
        ),
        ("sequence", f"{found.sequence_length} tokens", ""),
        (
            "evaluation",
            f"{found.evaluation_tokens:,} tokens of {found.validation_shard or 'the last shard'}",
            "a sealed test half is split off",
        ),
        (
            "loader",
            f"{found.loader.name}({', '.join(found.loader.parameters)})",
            "a stand-in reads through the data gate",
        ),
        ("data", str(found.data), "read, never written"),
        ("vocabulary", str(found.tokenizer), "its pickle is opened in a sandbox only"),
        ("seeds", seeds, "salted: every trial is a fresh seed without an edit"),
        ("machine", "GPU" if found.gpu else "CPU", ""),
    ]
    if found.kernels:
        rows.append(
            ("kernels", ", ".join(found.kernels), "from the hub's cache, else through torch's own attention")
        )
    rows += [("note", note, "") for note in found.notes]
    width = max(len(what) for _, what, _ in rows)
    return [f"{name:<12} {what:<{min(width, 60)}}  {why}".rstrip() for name, what, why in rows]


def _measure(found: "Survey", target: Path, name: str, trials: int, rest: list[str]) -> None:
    """One trial tells what of the budget the script does not count; the others how much a score varies."""
    from harness.commands.noise import folder, lines, measure, summary
    from harness.config.setup import load
    from harness.session.folder import open_session
    from harness.task.adoption.writing import set_overhead

    machine = "gpu" if found.gpu else "cpu"
    words = [f"task={name}", f"budget.profile={machine}", *rest]
    print(f"\nmeasuring: 1 + {trials} trials of the unmodified script", flush=True)
    setup = load(words)
    with open_session(setup, folder(setup), ()) as bench:
        runner = bench.trial_runner
        seen = runner.measure(
            bench.workspace.files(runner.state.baseline), runner.state.baseline, Role.NOISE, "adoption-1"
        )
        if seen.score is None:
            raise UserError(
                f"the unmodified script gave no score: {seen.outcome.value}; see {bench.folder}/logs"
            )
        overhead = max(
            0.0, seen.billed_seconds - (_budget(setup.budget.seconds, found) - _first_overhead(target))
        )
    set_overhead(target, _RESERVE * overhead + _RESERVE_SECONDS)
    print(
        f"of its budget {overhead:.1f} s go by uncounted (compilation, first steps, evaluating):"
        f" the script is told so much less"
    )
    setup = load(words)
    with open_session(setup, folder(setup), ()) as bench:
        losses, rates = measure(bench, trials)
        for line in lines(summary(losses, rates), setup.task.unit):
            print(line)


def _budget(seconds: float | None, found: "Survey") -> float:
    return seconds if seconds is not None else found.time_budget_seconds


def _first_overhead(target: Path) -> float:
    return float(json.loads((target / "adopted.json").read_text(encoding="utf-8"))["overhead_seconds"])


if __name__ == "__main__":
    sys.exit(run(main, "harness.adopt", about=__doc__))
