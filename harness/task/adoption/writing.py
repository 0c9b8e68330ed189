"""Writes the task folder of an adopted checkout: its own files byte for byte, and what of ours goes with them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UserError
from harness.ledger.foreign_repository import Change, ForeignRepository
from harness.ledger.recorded_night import Night, read_night
from harness.records import Json
from harness.task.adoption.constants import Value
from harness.task.adoption.survey import Survey

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "adopted"
OURS = ("launch.py", "stand_in.py", "stand_in_kernels.py", "packing.py")  # travel with a trial
PACE = "pace.json"  # the trial's alone: data do not depend on it
START = "night"  # the files that the recorded night began with, where the checkout has gone on since
REFEREES = ("prepare.py", "evaluate.py")
FIRST_OVERHEAD = (
    0.75  # of the budget, until it was measured: a compiled script spends most of a first minute uncounted
)
MOST_SHARDS = 10
PARENTS = "parents"  # as agents.controls.replay reads them
_UNITS = {"bpb": "bits per byte", "loss": "nats per token", "perplexity": "perplexity"}
_MOST_HISTORY = 200


def facts(found: Survey, tokenizer: Mapping[str, Json]) -> dict[str, Json]:
    """adopted.json: what the stand-in and the referee need to know of the checkout."""
    special = tokenizer["special"]
    assert isinstance(special, dict)
    if found.bos_token not in special:
        raise UserError(
            f"the vocabulary has no token {found.bos_token!r} (it has {', '.join(special) or 'no special one'});"
            " the smallest edit: `BOS_TOKEN = ...` in prepare.py"
        )
    name = next(name for name in found.constants if name.startswith("TIME_BUDGET"))
    plain: dict[str, Json] = {
        key: _json(value) for key, value in found.constants.items() if key in found.imported or key == name
    }
    return {
        "script": found.script,
        "editable": list(found.editable),
        "metric": found.metric,
        "evaluate": found.evaluate,
        "loader": {
            "name": found.loader.name,
            "parameters": list(found.loader.parameters),
            "roles": dict(found.loader.roles),
            "fields": found.loader.fields,
        },
        "constants": plain,
        "time_budget": {"name": name, "unit_seconds": 60 if "MIN" in name else 1},
        "sequence_length": found.sequence_length,
        "evaluation_tokens": found.evaluation_tokens,
        "bos": special[found.bos_token],
        "data": str(found.data),
        "validation_shard": found.validation_shard,
        "most_shards": MOST_SHARDS,
        "kernels": list(found.kernels),
        "compiles": found.compiles,
        "counts_decoded": found.counts_decoded,
    }


def _json(value: Value) -> Json:
    return [_json(each) for each in value] if isinstance(value, list) else value


def write(found: Survey, tokenizer: Mapping[str, Json], target: Path) -> list[str]:
    """Fills `target`, which must not exist. Returns the names of what was written. Raises UserError."""
    if target.exists():
        raise UserError(f"{target} is there already; choose another name (name=...) or remove it")
    about = facts(found, tokenizer)
    target.mkdir(parents=True)
    for name in found.editable:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name in OURS or name in REFEREES:
            raise UserError(f"the checkout's {name} would stand where one of ours must: rename it")
        place.write_bytes((found.folder / name).read_bytes())
    for name in (*OURS, *REFEREES):
        (target / name).write_bytes((TEMPLATES / name).read_bytes())
    (target / "program.md").write_text(found.program, encoding="utf-8")
    (target / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (target / "adopted.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    set_overhead(target, FIRST_OVERHEAD * found.time_budget_seconds)
    night = recorded(found.folder)
    (target / "HISTORY.md").write_text(history(night), encoding="utf-8")
    write_replay(found, night, target / "replay")
    vocabulary = len(tokenizer["ranks"]) + len(tokenizer["special"])  # type: ignore[arg-type] # checked when it was exported
    (target / "task.yaml").write_text(task_yaml(found, vocabulary), encoding="utf-8")
    return sorted(path.name for path in target.iterdir())


def set_overhead(target: Path, seconds: float) -> None:
    """What of the budget the script does not count itself, as measured; equal for all candidates from then on."""
    (target / PACE).write_text(json.dumps({"overhead_seconds": round(seconds, 1)}) + "\n", encoding="utf-8")


def overhead(target: Path) -> float:
    """Seconds of the budget that the script is not told of."""
    return float(json.loads((target / PACE).read_text(encoding="utf-8"))["overhead_seconds"])


def task_yaml(found: Survey, vocabulary: int) -> str:
    """A profile named after the machine: gpu or cpu."""
    machine = "gpu" if found.gpu else "cpu"
    more = ", gpu: true, memory_gib: 64, threads: 8, processes: 512, startup_seconds: 900"
    more += ", out_mib: 4096, artefact_mib: 4096"
    less = ", memory_gib: 8, threads: 1, startup_seconds: 300"
    editable = ", ".join(found.editable)
    return f"""\
# {found.folder.name}: an adopted autoresearch checkout; made by `harness adopt`
_target_: harness.task.Task
metric: {found.metric}
unit: {_UNITS[found.metric]}
direction: minimize
editable: [{editable}]
readable: [{", ".join((*OURS, "adopted.json", PACE, "HISTORY.md"))}]
apart_from_data: [{PACE}, HISTORY.md]
artefact: model.safetensors
fixed_held_out_because: the validation shard is the checkout's own, and no trial or agent can reach its folder
predictor: tokens
script: launch.py # runs {found.script} as it is, with a stand-in for its prepare.py
entry: launch.py
classes: {vocabulary}
determinism: none
profiles:
  {machine}: {{seconds: {found.time_budget_seconds:g}, clock: wall{more if found.gpu else less}}}
replay: replay
"""


def recorded(folder: Path) -> Night | None:
    """The checkout's results.tsv; None where there is none or it cannot be read."""
    file = folder / "results.tsv"
    try:
        return read_night(file) if file.is_file() else None
    except UserError:
        return None


def night_found(found: Survey) -> str:
    """What was recorded in the checkout, in words; a results.tsv that cannot be read is said to be such."""
    file, said = found.folder / "results.tsv", []
    if file.is_file():
        try:
            said.append(f"results.tsv: {read_night(file).counts()}")
        except UserError as error:
            said.append(f"results.tsv cannot be read ({error})")
    if changes := recorded_changes(found):
        branch = ForeignRepository(found.folder).branches()[0].removeprefix("refs/heads/")
        since = "; begun with other files than are here now" if start_of(found, changes) else ""
        said.append(f"branch {branch}: {len(changes)} changes as a replay series{since}")
    return "; ".join(said) or "none"


def cached_kernels(found: Survey) -> list[str]:
    """Those of the kernels that the hub's cache on this machine holds."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return [name for name in found.kernels if (cache / f"models--{name.replace('/', '--')}").is_dir()]


def history(night: Night | None) -> str:
    """For an agent: what was tried before, as unverified single runs."""
    if night is None:
        return "# History\n\nNothing was recorded before.\n"
    lines = [
        "# History",
        "",
        "Recorded before the harness came: single runs with one seed, scored by the script itself.",
        "",
    ]
    lines += [f"| {night.metric} (unverified) | status | change |", "|---|---|---|"]
    for row in night.rows[-_MOST_HISTORY:]:
        score = "-" if row.score is None else f"{row.score:g}"
        lines.append(f"| {score} | {row.status} | {row.description.replace('|', '/')[:200]} |")
    return "\n".join(lines) + "\n"


def write_replay(found: Survey, night: Night | None, folder: Path) -> int:
    """One patch a commit of the newest branch autoresearch/*, with the claimed score and, below `parents`, what it
    was made on; returns how many. Where the checkout's files are others than the night began with, these go to START.
    """
    changes = recorded_changes(found)
    _write_files(folder.parent / START, start_of(found, changes))
    claims = {row.commit: row for row in night.rows if row.commit} if night else {}
    written = 0
    before: float | None = next((row.score for row in night.finished()), None) if night else None
    for change in changes:
        row = next((row for commit, row in claims.items() if change.commit.startswith(commit)), None)
        words = change.subject
        if row is not None and row.score is not None:
            words += f"\n\nClaimed: {row.score:g}" + (f" after {before:g}" if before is not None else "")
            before = row.score
        folder.mkdir(exist_ok=True)
        written += 1
        name = f"{written:04d}-{change.commit[:8]}"
        (folder / f"{name}.patch").write_text(f"{words}\n\n{change.patch}", encoding="utf-8")
        _write_files(folder / PARENTS / name, change.before or {})
    return written


def recorded_changes(found: Survey) -> list[Change]:
    """Commits of the newest night that changed an editable file, oldest first; a history's first commit is none."""
    repository = ForeignRepository(found.folder)
    branches = repository.branches()
    changes = repository.changes(branches[0], found.editable) if branches else []
    return [change for change in changes if change.patch.strip() and change.before is not None]


def start_of(found: Survey, changes: Sequence[Change]) -> Mapping[str, bytes]:
    """The editable files before the first change; {} where the checkout has them as they were."""
    start = (changes[0].before if changes else None) or {}
    same = all((found.folder / name).read_bytes() == content for name, content in start.items())
    return {} if same else start


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
