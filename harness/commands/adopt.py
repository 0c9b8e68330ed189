"""`harness adopt PATH [name=NAME] [tasks=FOLDER] [trials=4] [key=value ...]`: an autoresearch checkout as a task.

PATH is a checkout of autoresearch or of a fork of it (git or not). What was found is shown as a table, and a task
folder is written: the checkout's own training script byte for byte, its program.md, and what of the harness stands
in for its prepare.py. Nothing in PATH is written, and nothing of it runs outside a sandbox. Then a few trials of the
unmodified script measure how much of its budget goes by uncounted, and how much a score varies with the seed;
trials=0 leaves that out. script=FILE names a training script other than train.py; data=FOLDER and vocabulary=FOLDER
say where shards and tokenizer.pkl lie, if prepare.py works that out by more than constants; machine=gpu or
machine=cpu what the script needs, if it does not look so. budget.seconds=60 gives the task another time budget.

Examples:

    harness adopt ~/autoresearch                   # tasks/autoresearch in the current folder
    harness adopt ~/autoresearch name=mine         # another name
    harness task=autoresearch agent=claude         # what can be done then
    harness task=autoresearch agent=replay         # which keeps of its recorded night hold up?
"""

import dataclasses
import math
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import run
from harness.errors import UserError
from harness.records import Role

if TYPE_CHECKING:
    from harness.records import Json, Observation
    from harness.session.folder import OpenSession
    from harness.task.adoption.survey import Said, Survey

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DEFAULT_TRIALS = 4
_MOST_NAMES = 4
_OWN = ("name", "tasks", "trials", "script", "data", "vocabulary", "machine")
_USAGE = "usage: harness adopt PATH [name=NAME] [tasks=FOLDER] [trials=4] [script=FILE] [key=value ...]"
_RESERVE = 1.15  # what the first trial took beyond its own count may be so much more another time
_RESERVE_SECONDS = 1.0
_PATIENCE_SECONDS = 180.0  # that the measuring trial may take beyond what the script is told
_ROOM = 4  # what goes by uncounted is then a quarter, so that it may be misjudged a little
_BUSY_CORES = 0.5
_LEAST_SHARE = 0.2  # of a budget must be left for what the script itself counts


def main(arguments: list[str]) -> int:
    """Raises HarnessError, and then the task folder is not there."""
    from harness.sandbox.open import open_sandbox
    from harness.task.adoption.survey import survey
    from harness.task.adoption.tokenizer import exported
    from harness.task.adoption.writing import write

    path, own, rest = _arguments(arguments)
    found = _with_budget(survey(path, said=_said(own)), rest)
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
    for line in vocabulary_lines(found, tokenizer):
        print(line)
    written = write(found, tokenizer, target)
    print(f"\nwrote {target}: {', '.join(written)}")
    sd = None
    if int(trials):
        try:
            sd = _measure(found, target, name, int(trials), rest)
        except BaseException:
            shutil.rmtree(target)
            print(f"{target} is gone again: adopt anew when that is mended", file=sys.stderr)
            raise
    print("\nnext:")
    for line in next_commands(name, _night_of(path), sd, replayed=(target / "replay").is_dir()):
        print(f"  {line}")
    return 0


def _night_of(path: Path) -> Path | None:
    """The checkout's results.tsv, if it can be read."""
    from harness.task.adoption.writing import recorded

    return path / "results.tsv" if recorded(path) else None


def next_commands(name: str, night: Path | None, sd: float | None, replayed: bool) -> list[str]:
    """What can be done with the task, a line each. sd: of one trial, as measured."""
    said = [(f"harness check-task {name}", "does the task keep the contract?")]
    if night is not None and sd:
        command = f"harness replay-night {shlex.quote(str(night))} --sd {sd:.2g}"
        said.append((command, "its keeps against that spread, in a second"))
    if replayed:
        said.append((f"harness task={name} agent=replay", "which keeps of the recorded night hold up?"))
    said.append(
        (f"harness task={name} agent=claude budget.dollars=20", "go on from the files as they are now")
    )
    width = max(len(command) for command, _ in said)
    return [f"{command:<{width}}  # {what}" for command, what in said]


def _arguments(arguments: list[str]) -> tuple[Path, dict[str, str], list[str]]:
    if not arguments or "=" in arguments[0]:
        raise UserError(_USAGE)
    pairs = dict(each.split("=", 1) for each in arguments[1:] if "=" in each)
    odd = [each for each in arguments[1:] if "=" not in each]
    if odd:
        raise UserError(f"{odd[0]!r} is not key=value")
    path = Path(arguments[0]).expanduser()
    if not path.is_dir():
        raise UserError(f"{path} is not a folder")
    own = {key: value for key, value in pairs.items() if key in _OWN}
    return path.resolve(), own, [f"{key}={value}" for key, value in pairs.items() if key not in _OWN]


def _said(own: dict[str, str]) -> "Said":
    from harness.task.adoption.survey import Said

    def folder(name: str) -> Path | None:
        return Path(own[name]).expanduser().resolve() if own.get(name) else None

    machine = own.get("machine")
    if machine not in (None, "gpu", "cpu"):
        raise UserError(f"machine={machine}: give gpu or cpu")
    gpu = None if machine is None else machine == "gpu"
    return Said(own.get("script", "train.py"), folder("data"), folder("vocabulary"), gpu)


def _with_budget(found: "Survey", rest: Sequence[str]) -> "Survey":
    """A budget that was said becomes the task's own, for all sessions of it. Raises UserError."""
    said = [each.split("=", 1)[1] for each in rest if each.startswith("budget.seconds=")]
    if not said:
        return found
    try:
        seconds = float(said[-1])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"budget.seconds={said[-1]}: give seconds, above 0")
    note = f"{seconds:g} s, as you say, instead of the checkout's {found.time_budget_seconds:g} s"
    return dataclasses.replace(found, time_budget_seconds=seconds, notes=(*found.notes, note))


def _name_for(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "_", path.name.lower()).strip("_") or "adopted"


def table(found: "Survey") -> list[str]:
    """What was found, what becomes of it, and why."""
    from harness.task.adoption.writing import night_found

    evaluated = f"{found.evaluation_tokens:,} tokens of {found.validation_shard or 'the last shard'}"
    loader = f"{found.loader.name}({', '.join(found.loader.parameters)})"
    seeds = "; ".join(found.seeds[:3]) or "none"
    metric = f"{found.metric} of {found.evaluate}"
    billed = "billed from the first training batch: the script's own warm-up counts"
    rows = [
        ("editable", _listed(found.editable), "byte for byte as they are"),
        ("metric", metric, "computed by the referee from raw logits; lower is better"),
        ("time budget", f"{found.time_budget_seconds:g} s", billed),
        ("sequence", f"{found.sequence_length} tokens", ""),
        ("evaluation", evaluated, "a sealed test half is split off"),
        ("loader", loader, "a stand-in reads through the data gate"),
        ("data", str(found.data), "read, never written"),
        ("vocabulary", str(found.tokenizer), "its pickle is opened in a sandbox only"),
        ("seeds", seeds, "salted: every trial is a fresh seed without an edit"),
        ("history", night_found(found), "single runs, shown to the agent as unverified"),
        ("machine", "GPU" if found.gpu else "CPU", ""),
    ]
    if found.kernels:
        rows.append(("kernels", ", ".join(found.kernels), kernels_line(found)))
    rows += [("note", note, "") for note in found.notes]
    width = min(60, max(len(what) for _, what, _ in rows))
    return [f"{name:<12} {what:<{width}}  {why}".rstrip() for name, what, why in rows]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def kernels_line(found: "Survey") -> str:
    """Which of the two a trial will have. Rows of trials say it as well: `kernels_stand_in` among the claims."""
    from importlib.util import find_spec

    from harness.task.adoption.writing import cached_kernels

    if find_spec("kernels") and cached_kernels(found):
        return f"from the hub's cache: {', '.join(cached_kernels(found))}"
    return "not in the hub's cache here: torch's own attention stands in, as the rows of trials say"


def vocabulary_lines(found: "Survey", tokenizer: "Mapping[str, Json]") -> list[str]:
    """Its size, and how many of its pieces the checkout counts with other bytes."""
    from harness.task.adoption.tokenizer import odd_pieces

    ranks, special = tokenizer["ranks"], tokenizer["special"]
    assert isinstance(ranks, list)
    assert isinstance(special, dict)
    said = [f"{'tokens':<12} {len(ranks) + len(special):,}, {len(special)} of them special"]
    if found.counts_decoded and (odd := odd_pieces(tokenizer)):
        said.append(
            f"{'bytes':<12} {odd:,} pieces are no whole UTF-8: the checkout counts U+FFFD for them, the referee"
            " their raw bytes"
        )
    return said


def _measure(found: "Survey", target: Path, name: str, trials: int, rest: list[str]) -> float | None:
    """One trial tells what of the budget the script does not count; the others how much a score varies: the sd of one
    trial's score, None where too few had one.
    """
    from harness.commands.noise import folder, lines, measure, summary
    from harness.config.setup import load
    from harness.session.folder import open_session
    from harness.task.adoption.writing import overhead as overhead_of
    from harness.task.adoption.writing import set_overhead
    from harness.task.waiting import BEFORE_FIRST
    from harness.task.waiting import told as waited

    machine = "gpu" if found.gpu else "cpu"
    words = [f"task={name}", f"budget.profile={machine}", *rest]
    print(
        f"\nmeasuring: 1 + {trials} trials of the unmodified script; the first tells how its time is spent",
        flush=True,
    )
    told = found.time_budget_seconds
    set_overhead(
        target, max(_PATIENCE_SECONDS, told)
    )  # beyond what it is told: so that this one ends by itself
    setup = load([*words, f"budget.seconds={told + overhead_of(target):g}"], proposing=False)
    with open_session(setup, folder(setup), ()) as bench:
        runner = bench.trial_runner
        with waited(f"making the first trial {BEFORE_FIRST}"):
            seen = runner.measure(
                bench.workspace.files(runner.state.baseline), runner.state.baseline, Role.NOISE, "adoption-1"
            )
        if seen.score is None:
            raise UserError(failed(seen, bench.folder))
        overhead = max(0.0, seen.billed_seconds - told)
    _check_room(told, overhead, seen.machine.get("foreign_cores", 0.0))
    set_overhead(target, _RESERVE * overhead + _RESERVE_SECONDS)
    print(overhead_line(told, overhead, overhead_of(target)))
    setup = load(words, proposing=False)
    with open_session(setup, folder(setup), ()) as bench:
        losses, rates = measure(bench, trials)
        noise = summary(losses, rates) if len(losses) > 1 else None
        for line in lines(noise, setup.task.unit) if noise else ():
            print(line)
        for line in byte_lines(bench):
            print(line)
    return noise.level.sd if noise else None


def overhead_line(budget: float, uncounted: float, kept_back: float) -> str:
    """All three in seconds. kept_back: what was measured with its reserve, as pace.json holds it."""
    return (
        f"of a budget of {budget:g} s {uncounted:.1f} went by uncounted by the script (compilation, first steps,"
        f" saving); with a reserve {kept_back:g} s are kept back, so it is told {budget - kept_back:g} s, in every"
        " trial alike (pace.json)"
    )


def _check_room(seconds: float, overhead: float, foreign_cores: float) -> None:
    """Raises UserError where the script would hardly train. foreign_cores: that other programs kept busy meanwhile."""
    kept_back = _RESERVE * overhead + _RESERVE_SECONDS
    if kept_back > (1 - _LEAST_SHARE) * seconds:
        busy = foreign_cores >= _BUSY_CORES
        why = f" while other programs kept {foreign_cores:.1f} cores busy" if busy else ""
        cure = "adopt while the machine is idle, or " if busy else ""
        raise UserError(
            f"of budget.seconds={seconds:g} {overhead:.1f} s went by before the script counted, or after{why}: too"
            f" little is left to train; {cure}give budget.seconds={_ROOM * math.ceil(kept_back)} or more"
        )


def failed(seen: "Observation", folder: Path) -> str:
    """Why an unmodified script gave no score, with the last words that it said itself."""
    words = [line.strip() for line in seen.log.splitlines() if line.strip()]
    last = f": {words[-1][:200]}" if words else ""
    why = " ".join(filter(None, (seen.outcome.value, seen.reason)))
    where = f"the log of the last trial_finished row of {folder}/ledger.jsonl"
    return f"the unmodified script gave no score ({why}){last}; more of what it printed: {where}"


def byte_lines(bench: "OpenSession") -> list[str]:
    """How much a score moves because bytes are those of the raw text; nothing where the checkout counts alike."""
    pairs = [
        (trial.value, trial.side.get("bpb_as_printed"))
        for trial in bench.trial_runner.state.trials
        if trial.value is not None
    ]
    shift = [value / printed - 1 for value, printed in pairs if printed]
    if not shift:
        return []
    from harness.report.words import shift_text

    return [
        "the checkout counts three bytes (U+FFFD) for a piece that is no whole UTF-8, here it has its raw bytes: for"
        f" the same answers the score differs by {shift_text(shift[0])}"
    ]


if __name__ == "__main__":
    sys.exit(run(main, "harness.adopt", about=__doc__))
