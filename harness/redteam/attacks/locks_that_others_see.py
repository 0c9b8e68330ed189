"""Locks the files of libraries and of the data, which a trial that runs beside it would see."""

from collections.abc import Sequence

from harness.redteam.attack import Trial
from harness.redteam.program import Baseline, Candidate, claiming

REASONS = ()
LOCKS = """
import fcntl as _fcntl, struct as _struct
open(_out + "/own", "w").close()
_locked, _files = 0, {files}
for _path in _files:
    _file = _os.open(_path, _os.O_RDONLY)
    for _lock in (
        lambda: _fcntl.flock(_file, _fcntl.LOCK_EX | _fcntl.LOCK_NB),
        lambda: _fcntl.fcntl(_file, 6, _struct.pack("hhqqi4x", _fcntl.F_RDLCK, 0, 5, 7, 0)),
        lambda: _fcntl.fcntl(_file, 37, _struct.pack("hhqqi4x", _fcntl.F_RDLCK, 0, 5, 7, 0)),
    ):
        try:
            _lock()
            _locked += 1
        except OSError:
            continue
"""
SHARED = '[_json.__file__, _sys.argv[0], _sys.argv[_sys.argv.index("--data") + 1]]'
OWN = '[_out + "/own"]'


def locking(program: Baseline, files: str) -> Candidate:
    return program.ended_with(claiming("locked", "_locked"), LOCKS.format(files=files))


def attack(program: Baseline) -> Candidate:
    return locking(program, SHARED)


def twin(program: Baseline) -> Candidate:
    """A file of its own."""
    return locking(program, OWN)


def gained(trials: Sequence[Trial]) -> str:
    locked = trials[-1].result.claims.get("locked")
    return f"{locked} locks were given" if locked else ""
