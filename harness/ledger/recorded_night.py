"""Reads a results.tsv as people have it: autoresearch's (github.com/karpathy/autoresearch, March 2026) and its forks'.

Columns are found by name, in any order and case; only a score and a status are needed. Nights that were measured
anew in the middle (a second baseline) are segments, each with a bar of its own.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

STATUSES = {
    "keep": "keep",
    "kept": "keep",
    "baseline": "keep",
    "discard": "discard",
    "discarded": "discard",
    "reject": "discard",
    "rejected": "discard",
    "revert": "discard",
    "reverted": "discard",
    "crash": "crash",
    "crashed": "crash",
    "fail": "crash",
    "failed": "crash",
    "error": "crash",
    "oom": "crash",
    "timeout": "crash",
}
_RISING = re.compile(
    r"acc|accuracy|psnr|ssim|f1|reward|return|auc|auroc|map|ndcg|bleu|rouge|r2|recall|precision|score|win|pass|success|iou|dice"
)
_FALLING = re.compile(
    r"bpb|loss|nll|ppl|perplexity|rmse|mse|mae|error|wer|cer|fid|bpc|bits|regret|latency|seconds|brier|ece|kl|crps|logloss|rank"
)
_NOT_SCORES = {
    "memory_gb",
    "mfu",
    "status",
    "commit",
    "description",
    "seconds",
    "time",
    "step",
    "steps",
    "params",
}
_BASELINE = re.compile(r"\bbase-?line\b|\bre-?measure", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row. score: as written, None for a crash; loss: lower is better; segment: 0 for the first baseline's."""

    number: int
    commit: str
    score: float | None
    loss: float | None
    status: str
    description: str
    segment: int


@dataclass(frozen=True, slots=True)
class Night:
    """metric: the column's name. rising: whether higher is better. rows: all, in order."""

    metric: str
    rising: bool
    rows: tuple[Recorded, ...]

    def finished(self, segment: int | None = None) -> list[Recorded]:
        """Rows with a score, of one segment or all."""
        return [row for row in self.rows if row.loss is not None and segment in (None, row.segment)]

    @property
    def segments(self) -> int:
        return 1 + max((row.segment for row in self.rows), default=0)


def read_night(path: Path, rising: bool | None = None) -> Night:
    """rising: whether higher scores are better; None: from the metric's name. Raises UserError, one line."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    rows = [
        row
        for row in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        if any(map(str.strip, row))
    ]
    if not rows:
        raise UserError(f"{path} is empty: expected a line of column names, then a line a trial")
    names = [name.strip().lower() for name in rows[0]]
    columns = _columns(path, names)
    metric = names[columns["score"]]
    up = _direction(path, metric) if rising is None else rising
    found = _records(path, rows[1:], columns, up)
    if not any(row.loss is not None for row in found):
        raise UserError(f"{path} holds no finished trial: no row has a number in the column {metric}")
    return Night(metric.removeprefix("val_"), up, tuple(found))


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Role -> place. The score is the column val_*, else the first whose name is a known metric's."""
    if "status" not in names:
        raise UserError(f"{path}: no column named status among {', '.join(names) or 'none'}")
    scores = [place for place, name in enumerate(names) if name.startswith("val_")]
    scores = scores or [
        place for place, name in enumerate(names) if name not in _NOT_SCORES and _known(name) is not None
    ]
    if not scores:
        raise UserError(f"{path}: no column for the score: expected val_<metric> among {', '.join(names)}")
    found = {"status": names.index("status"), "score": scores[0]}
    for role, aliases in (
        ("commit", ("commit", "hash", "sha")),
        ("description", ("description", "desc", "change", "idea", "notes")),
    ):
        place = next((names.index(alias) for alias in aliases if alias in names), None)
        if place is not None:
            found[role] = place
    return found


def _known(metric: str) -> bool | None:
    """Whether a metric of that name rises; None for one that is not known. `error_score` falls."""
    words = re.split(r"[^a-z0-9]+", metric)
    if any(_FALLING.fullmatch(word) for word in words):
        return False
    return True if any(_RISING.fullmatch(word) for word in words) else None


def _direction(path: Path, metric: str) -> bool:
    known = _known(metric)
    if known is None:
        raise UserError(
            f"{path}: is a higher {metric} better? Its name does not say: give --maximise or --minimise"
        )
    return known


def _records(
    path: Path, rows: Sequence[Sequence[str]], columns: dict[str, int], rising: bool
) -> list[Recorded]:
    found: list[Recorded] = []
    segment = 0
    for number, row in enumerate(rows, start=2):
        cells = {role: row[place].strip() if place < len(row) else "" for role, place in columns.items()}
        status = STATUSES.get(cells["status"].lower())
        if status is None:
            raise UserError(
                f"{path}, line {number}: unknown status {cells['status']!r};"
                f" known are {', '.join(sorted(set(STATUSES)))}"
            )
        score = None if status == "crash" else _score(path, number, cells["score"])
        again = status == "keep" and bool(_BASELINE.search(cells.get("description", "")))
        segment += again and any(each.loss is not None for each in found)
        loss = None if score is None else -score if rising else score
        found.append(
            Recorded(
                number, cells.get("commit", ""), score, loss, status, cells.get("description", ""), segment
            )
        )
    return found


def _score(path: Path, number: int, text: str) -> float | None:
    """None for what a harness writes where nothing was measured. Raises UserError for other text."""
    if text.lower() in ("", "-", "nan", "none", "n/a", "na", "inf", "-inf"):
        return None
    try:
        score = float(text.replace(",", "."))
    except ValueError:
        raise UserError(f"{path}, line {number}: {text!r} is not a number") from None
    return score if math.isfinite(score) else None
