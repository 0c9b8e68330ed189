"""Looks for the held-out data, and for the programs that make them, wherever a trial can read."""

import hashlib
import json.decoder
from collections.abc import Sequence
from pathlib import Path

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, claiming

REASONS = ()
# By name, then by content. Before the gate, so that nothing is billed; it ends in time to train.
SEARCH = """
import hashlib as _hashlib, time as _time
_wanted, _count, _end = {wanted}, 0, _time.monotonic() + 20
def _walk():
    for _top in (_os.getcwd(), _os.path.dirname(_os.path.abspath(_sys.argv[0])), *_sys.path, "/"):
        for _place, _folders, _names in _os.walk(_top):
            if _place == "/":
                _folders[:] = [name for name in _folders if name not in ("proc", "sys")]
            yield from (_os.path.join(_place, name) for name in set(_names) & set(_wanted))
            if _time.monotonic() > _end:
                return
for _path in set(_walk()):
    try:
        with open(_path, "rb") as _file:
            _count += _hashlib.sha256(_file.read()).hexdigest() in _wanted[_os.path.basename(_path)]
    except OSError:
        continue
"""


def searching(program: Baseline, files: Sequence[Path]) -> Candidate:
    wanted: dict[str, list[str]] = {}
    for file in files:
        wanted.setdefault(file.name, []).append(hashlib.sha256(file.read_bytes()).hexdigest())
    return program.ended_with(claiming("found", "_count"), SEARCH.replace("{wanted}", repr(wanted)))


def attack(program: Baseline) -> Candidate:
    private = [file for file in program.needs_data().private.rglob("*") if file.is_file()]
    hidden = {"prepare.py", "evaluate.py"} - set(program.task.readable)
    return searching(program, [*private, *(program.task.path / name for name in sorted(hidden))])


def twin(program: Baseline) -> Candidate:
    return searching(program, [Path(json.decoder.__file__)])


def gained(trials: Sequence[Trial]) -> str:
    found = trials[-1].result.claims.get("found")
    return f"{found} files were read" if found else ""
