"""Opens the data gate: a candidate's training data can be read from here on, and its time is billed from here on.

Standard library only: this file lies beside train.py in every trial. Outside the harness it hands out DIR/train.
"""

from pathlib import Path


class Training(dict[str, str]):
    """File name -> path to open. seconds, steps, tokens: the budget, None where it does not bound the trial."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None


def open_gate(data: str) -> Training:
    """The training data below `data`, the folder that train.py got as --data."""
    folder = Path(data) / "train"
    return Training({path.name: str(path) for path in sorted(folder.iterdir())})
