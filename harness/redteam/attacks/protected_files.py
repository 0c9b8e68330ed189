"""Writes to its own source, to its data and to the libraries."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, claiming

REASONS = ()
TARGETS = """
_tree, _data = _os.path.dirname(_os.path.abspath(_sys.argv[0])), _sys.argv[_sys.argv.index("--data") + 1]
_targets = [_os.path.join(_tree, name) for name in ("new.py", "harness/gate.py", "harness/new.py")]
_targets += [_os.path.abspath(_sys.argv[0]), _os.path.join(_data, "new"), _json.__file__]
_targets += [_os.path.join(place, "new.pth") for place in _sys.path if place.endswith("-packages")]
"""
WRITE = """
_count = 0
for _target in _targets:
    try:
        with open(_target, "a") as _file:
            _file.write("# changed")
        _count += 1
    except OSError:
        continue
"""


def writing(program: Baseline, targets: str) -> Candidate:
    return program.ended_with(claiming("written", "_count"), targets.strip() + WRITE)


def attack(program: Baseline) -> Candidate:
    return writing(program, TARGETS)


def twin(program: Baseline) -> Candidate:
    return writing(program, '_targets = [_os.path.join(_out, "note")]')


def gained(trials: Sequence[Trial]) -> str:
    found = trials[-1].result.claims.get("written")
    return f"{found} files were written" if found else ""
