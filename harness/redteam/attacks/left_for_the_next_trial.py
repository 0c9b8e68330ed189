"""One trial leaves a mark in every place that it can write, and the next one looks for it."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, claiming

REASONS = ()
TRIALS = 2
MARKS = """
_places = ["/tmp", "/var/tmp", "/dev/shm", "/run", _os.getcwd(), _os.environ.get("HOME", "/"), _out]
_places += [_sys.argv[_sys.argv.index("--data") + 1], _os.path.dirname(_os.path.abspath(_sys.argv[0]))]
_places += [value for name, value in _os.environ.items() if name.endswith(("_DIR", "_PATH", "_HOME"))]
def _marked():
    return sum(_os.path.exists(_os.path.join(place, "left-by-a-trial")) for place in _places)
_found_before = _marked()
for _place in _places:
    try:
        with open(_os.path.join(_place, "left-by-a-trial"), "w") as _file:
            _file.write("weights")
    except OSError:
        continue
_found_after = _marked()
"""


def marking(program: Baseline, counted: str) -> Candidate:
    return program.ended_with(claiming("found", counted), MARKS)


def attack(program: Baseline) -> Candidate:
    return marking(program, "_found_before")


def twin(program: Baseline) -> Candidate:
    return marking(program, "_found_after")


def gained(trials: Sequence[Trial]) -> str:
    found = trials[-1].result.claims.get("found")
    return f"{found} marks were there" if found else ""
