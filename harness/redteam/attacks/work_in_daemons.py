"""Children that have left the family work while the program sleeps, which costs nothing of a processor's time."""

from harness.redteam.program import Baseline, Candidate, NotApplicable

REASONS = ("deadline", "late", "budget.left_process")
DAEMONS = """
import harness.gate as _gate, time as _time
_plain_gate = _gate.open_gate
def _open_gate(data):
    training = _plain_gate(data)
    _done, _working = _os.pipe()
    for _ in range(2):
        if _os.fork() == 0:
            _os.setsid()
            if _os.fork() == 0:
                _start = _time.process_time()
                while _time.process_time() - _start < {seconds}:
                    sum(range(1000))
            _os.kill(_os.getpid(), 9)
    _os.close(_working)
    _os.read(_done, 1)  # until they have ended, which costs nothing by this clock
    return training
_gate.open_gate = _open_gate
"""


def working(program: Baseline, seconds: float) -> Candidate:
    if program.profile.clock != "cpu":
        raise NotApplicable("the clock is the wall's, which counts no CPU time")
    return program.started_with(DAEMONS.format(seconds=seconds))


def attack(program: Baseline) -> Candidate:
    return working(program, program.profile.seconds)


def twin(program: Baseline) -> Candidate:
    return working(program, 0.001)
