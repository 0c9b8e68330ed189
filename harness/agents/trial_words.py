"""A trial in half a line, for an agent: how its training went, and where its time went."""

from harness.records import TrialSummary

_POINTS = 5
_STILL_MOVING, _UNSTEADY = 0.02, 0.5


def curve_words(trial: TrialSummary) -> str:
    """The claimed training losses at equal shares of its time, and how they ended; "" if it claimed too few."""
    losses = trial.curve
    if len(losses) < _POINTS:
        return ""
    shown = [losses[round(place * (len(losses) - 1) / (_POINTS - 1))] for place in range(_POINTS)]
    return f"training loss (claimed) {' '.join(f'{loss:.3g}' for loss in shown)}, {_trend(losses)}"


def _trend(losses: tuple[float, ...]) -> str:
    """Of the last fifth, held against the whole descent."""
    tail = losses[-max(len(losses) // 5, 2) :]
    whole = max(losses) - min(losses)
    half = len(tail) // 2
    early, late = sum(tail[:half]) / half, sum(tail[half:]) / (len(tail) - half)
    if whole <= 0:
        return "flat"
    if max(tail) - min(tail) > _UNSTEADY * whole:
        return "unsteady at the end"
    if abs(early - late) <= _STILL_MOVING * whole:
        return "flat at the end"
    return "still falling" if late < early else "rising at the end"


def time_words(trial: TrialSummary) -> str:
    """What the referee measured: start-up (not billed), training (billed) and memory."""
    words = f"start-up {trial.startup_seconds:.1f} s, training {trial.training_seconds:.1f}"
    words += f" of {trial.allowed_seconds:g} s" if trial.allowed_seconds else " s"
    used = trial.startup_seconds + trial.training_seconds
    if used > 0 and trial.cpu_seconds > 0:
        words += f", {trial.cpu_seconds / used:.1f} CPUs busy"
    return words + (f", {trial.peak_memory_bytes / 2**20:.0f} MiB" if trial.peak_memory_bytes else "")
