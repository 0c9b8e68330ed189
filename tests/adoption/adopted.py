"""What the fixtures of these tests hand out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.records import Score, TrialResult
from harness.session.rig import Rig

Measure = Callable[..., tuple[TrialResult, Score]]


@dataclass(frozen=True)
class Adopted:
    """A checkout of fixed work and trials of its task. folder: holds tasks/mine; home: whose cache its data are in."""

    checkout: Path
    folder: Path
    home: Path
    rig: Rig
