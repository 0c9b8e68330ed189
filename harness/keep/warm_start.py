"""What earlier sessions of the same task, machine and budget measured about noise, kept beside the data cache."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from harness.keep.noise_level import MOST_PRIOR_DEGREES, NoiseLevel
from harness.records import Json
from harness.sandbox.machine import machine
from harness.task.prepare import cache_folder
from harness.task.task import Profile, Task

_OF_MACHINE = ("processor", "cores", "gpus", "torch")


def key(task: Task, profile: Profile, about: Mapping[str, Json] | None = None) -> str:
    """Fingerprint of what the noise depends on: the task's referee files, the budget of a trial, the machine.

    The editable files are left out: noise hardly differs between configurations. about: of another machine.
    """
    here = machine() if about is None else about
    files = {name: hashlib.sha256(content).hexdigest() for name, content in task.fixed_files().items()}
    parts = [task.name, task.metric, files, asdict(profile), [here.get(name) for name in _OF_MACHINE]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def remember(name: str, source: str, level: NoiseLevel) -> None:
    """Store what one session measured by itself, without a prior. `source` names it: once stored, replaced.

    name: from `key`. Nothing is stored without degrees of freedom, for a task without noise, or where the disk
    refuses: the session is over by now, and the next one measures for itself.
    """
    if level.df <= 0 or level.sd <= 0:
        return
    entries = {**_entries(name), source: {"sd": level.sd, "df": level.df}}
    path = _path(name)
    beside = path.with_suffix(f".{os.getpid()}.new")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(entries, indent=1, sort_keys=True))
        beside.replace(path)
    with suppress(OSError):
        beside.unlink(missing_ok=True)


def prior(name: str, without: str = "") -> tuple[float, int] | None:
    """(sd, degrees of freedom) of everything stored under `name`, except by the source `without`; None: nothing.

    A file that cannot be read counts as nothing: the session then measures its noise from the start.
    """
    levels = [entry for source, entry in _entries(name).items() if source != without]
    df = sum(entry["df"] for entry in levels)
    if not df:
        return None
    squares = sum(entry["sd"] ** 2 * entry["df"] for entry in levels)
    return (squares / df) ** 0.5, min(MOST_PRIOR_DEGREES, int(df))


def _path(name: str) -> Path:
    return cache_folder() / "noise" / f"{name}.json"


def _entries(name: str) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(_path(name).read_text())
        entries = {
            str(source): {"sd": float(entry["sd"]), "df": int(entry["df"])} for source, entry in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}
    good = all(math.isfinite(entry["sd"]) and min(entry.values()) > 0 for entry in entries.values())
    return entries if good else {}
