"""What stands in an attack's file, and finding them. A new attack is one new file; nothing is registered.

    \"\"\"The first line says what is tried.\"\"\"
    REASONS = ("predictor.load_time",)     what a rejection for it begins with, any of these; () for none needed
    STATIC = True                          asked of the static guards, before any trial; without it a trial is run
    DOUBT = True                           a doubt of the guards is enough: trials at more seeds have to settle it
    TRIALS = 2                             trials of one candidate, one after the other; the last is judged (default 1)
    def attack(program): ...               -> Candidate, see program.py
    def twin(program): ...                 the honest one of the same shape, which must pass
    def steps(rate, seconds): ...          optional: the number of steps that bounds these trials, from the baseline's
                                           steps a second and the seconds of a trial
    def gained(trials): ...                optional: what was gained though it counts as no rejection, "" if nothing.
                                           The twin, which may reach what it reaches for, must "gain".

Functions that make a candidate raise NotApplicable, with the reason, where the task has nothing to attack.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from harness.errors import UserError
from harness.records import Score, TrialResult
from harness.redteam.program import Baseline, Candidate

ATTACKS = Path(__file__).with_name("attacks")
Make = Callable[[Baseline], Candidate]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a candidate; score: None where it left nothing to score."""

    result: TrialResult
    score: Score | None
    work_ratio: float = (
        0.0  # billed time, in times of the baseline's for as many steps; 0: not a budget of steps
    )


@dataclass(frozen=True, slots=True)
class Attack:
    """One file of the folder."""

    name: str
    tries: str
    static: bool
    reasons: tuple[str, ...]
    attack: Make
    twin: Make
    doubt: bool = False
    trials: int = 1
    steps: Callable[[float, float], int] | None = None
    gained: Callable[[Sequence[Trial]], str] | None = None


def attacks(folder: Path = ATTACKS) -> list[Attack]:
    """In the order of their names. Raises UserError for a folder or a file that cannot be used."""
    files = sorted(folder.glob("[a-z]*.py")) if folder.is_dir() else []
    if not files:
        raise UserError(f"{folder}: no folder with attacks (files ending in .py)")
    return [_read(file) for file in files]


def _read(file: Path) -> Attack:
    module = _module(file)
    tries = (module.__doc__ or "").strip().partition("\n")[0]
    reasons, attack, twin = (getattr(module, name, None) for name in ("REASONS", "attack", "twin"))
    if not (tries and isinstance(reasons, tuple) and callable(attack) and callable(twin)):
        raise UserError(f"{file}: an attack has a docstring, REASONS, attack(program) and twin(program)")
    static, gained = bool(getattr(module, "STATIC", False)), getattr(module, "gained", None)
    if not reasons and gained is None:
        raise UserError(f"{file}: without REASONS an attack needs gained(trials)")
    doubt, trials = bool(getattr(module, "DOUBT", False)), int(getattr(module, "TRIALS", 1))
    steps = getattr(module, "steps", None)
    return Attack(file.stem, tries, static, reasons, attack, twin, doubt, trials, steps, gained)


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"attack_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever is wrong in a user's file is said in one line
        raise UserError(f"{file}: {type(error).__name__}: {error}") from error
    return module
