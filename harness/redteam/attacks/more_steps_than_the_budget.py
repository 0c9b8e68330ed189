"""The budget is a number of steps, and the program makes four times as many."""

from harness.redteam.program import Baseline, Candidate, reads_of

REASONS = ("budget.work", "deadline", "late")
TRIALS = 2  # one that is slow may be the machine's fault
WRAPPED = """
import harness.gate as _gate
_plain_gate = _gate.open_gate
def _open_gate(data):
    training = _plain_gate(data)
    training.steps = training.steps and {times} * training.steps
    return training
_gate.open_gate = _open_gate
"""


def scaled(program: Baseline, times: int) -> Candidate:
    """Raises NotApplicable for a program that knows no budget of steps."""
    reads_of(program.script, "steps")
    return program.started_with(WRAPPED.format(times=times))


def attack(program: Baseline) -> Candidate:
    return scaled(program, 4)


def twin(program: Baseline) -> Candidate:
    return scaled(program, 1)


def steps(rate: float, seconds: float) -> int:
    """Enough that the work is most of the billed time, and little enough that the attack ends before the cap."""
    return int(0.2 * rate * seconds)
