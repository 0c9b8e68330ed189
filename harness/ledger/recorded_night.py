"""Reads a results.tsv as people have it: autoresearch's (github.com/karpathy/autoresearch, March 2026) and its forks'.

Columns are found by name, in any order and case; only a score and a status are needed. Tabs, commas, semicolons, bars
of Markdown or blanks part them. Nights that were measured anew in the middle (a second baseline, or a second line of
names) are segments, each with a bar of its own.
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
    "accept": "keep",
    "accepted": "keep",
    "baseline": "keep",
    "\N{WHITE HEAVY CHECK MARK}": "keep",
    "\N{CHECK MARK}": "keep",
    "\N{HEAVY CHECK MARK}": "keep",
    "\N{CROSS MARK}": "discard",
    "\N{BALLOT X}": "discard",
    "skip": "discard",
    "skipped": "discard",
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
_YES_OR_NO = {"yes": "keep", "y": "keep", "true": "keep", "1": "keep"} | dict.fromkeys(
    ("no", "n", "false", "0"), "discard"
)  # in a column that asks whether a change was kept
_RISING = re.compile(
    r"acc|accuracy|psnr|ssim|f1|reward|return|auc|auroc|map|ndcg|bleu|rouge|r2|recall|precision|win|pass|success|iou|dice"
)
_FALLING = re.compile(
    r"bpb|loss|nll|ppl|perplexity|rmse|mse|mae|error|wer|cer|fid|bpc|bits|regret|latency|seconds|brier|ece|kl|crps|logloss|rank"
)
_NO_SCORE = re.compile(
    r"(.*_)?(gb|mb|gib|mib|seconds|minutes|hours|time|date|timestamp|steps?|tokens|params|m|k|lr|mfu|percent|depth|width"
    r"|seed|id|number|iteration|iter|epoch|epochs|run|experiment|branch|author|agent|gpu|cost|delta|gain|vram|memory|#|n)"
)
_ALIASES = {
    "status": ("status", "result", "decision", "outcome", "verdict", "action"),
    "commit": ("commit", "hash", "sha"),
    "description": ("description", "desc", "change", "idea", "notes", "note", "comment", "hypothesis"),
}
_ASKING = ("kept", "keep", "accepted")  # names of a column whose cells are yes or no
_NOTHING = (
    "",
    "-",
    "--",
    "nan",
    "none",
    "null",
    "n/a",
    "na",
    "inf",
    "-inf",
)  # what is written where nothing was measured
_MARKUP = "*_`~ \t"
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
_EXAMPLE = "commit, val_bpb, memory_gb, status, description"
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

    def counts(self) -> str:
        """What its rows are, so that they add up: "10 trials: 1 of the baseline, 9 changes with a score (5 kept)"."""
        finished = len(self.finished())
        baselines = min(self.segments, finished)
        changes, failed = finished - baselines, len(self.rows) - finished
        kept = sum(row.status == "keep" for row in self.finished()) - baselines
        parts = [
            f"{baselines} of the baseline",
            f"{changes} {'change' if changes == 1 else 'changes'} with a score ({max(0, kept)} kept)",
        ]
        parts += [f"{failed} without a score"] if failed else []
        return f"{len(self.rows)} {'trial' if len(self.rows) == 1 else 'trials'}: {', '.join(parts)}"

    @property
    def segments(self) -> int:
        return 1 + max((row.segment for row in self.rows), default=0)


def read_night(path: Path, rising: bool | None = None, metric: str | None = None) -> Night:
    """rising: whether higher scores are better; None: from the metric's name. metric: the column of the score; None:
    val_*, or what its name or its numbers show. Raises UserError, one line.
    """
    rows = _rows(_text(path))
    if not rows:
        raise UserError(f"{path} is empty: expected a line of column names, then a line a trial")
    names = [name.strip(_MARKUP).lower() for name in rows[0]]
    columns = _columns(path, names, rows[1:], metric and metric.strip().lower())
    chosen = names[columns["score"]]
    up = _direction(path, chosen) if rising is None else rising
    found = _records(path, names, rows[1:], columns, up)
    if not any(row.loss is not None for row in found):
        raise UserError(f"{path} holds no finished trial: no row has a number in the column {chosen}")
    return Night(chosen.removeprefix("val_"), up, tuple(found))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def _rows(text: str) -> list[list[str]]:
    """Cells of every line that has some; remarks (a # and no cell behind it) and Markdown's rulers are left out."""
    lines = [line for line in text.splitlines() if line.strip()]
    part = next((mark for mark in "\t|;," if any(mark in line for line in lines[:5])), None)
    lines = [line for line in lines if not (line.startswith("#") and (part is None or part not in line))]
    if part is None:
        wide = any("  " in line.strip() for line in lines)
        most = len(lines[0].split()) - 1 if lines else 0  # the last column takes the blanks that are left
        return [re.split(r" {2,}", line.strip()) if wide else line.split(maxsplit=most) for line in lines]
    if part == "|":
        rows = [line.strip().strip("|").split("|") for line in lines if "|" in line]
        return [row for row in rows if not all(re.fullmatch(r"\s*:?-+:?\s*", cell) for cell in row)]
    if part == "\t":
        found = [[_unquoted(cell) for cell in line.split(part)] for line in lines]
    else:
        found = list(csv.reader(lines, delimiter=part))
    return [row for row in found if any(map(str.strip, row))]


def _unquoted(cell: str) -> str:
    """A quotation mark within a cell is one; around it all, it was put there by a spreadsheet."""
    text = cell.strip()
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else cell


def _columns(
    path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], metric: str | None
) -> dict[str, int]:
    """Role -> place. The score: `metric`, or val_*, or the first known metric, or the only column of numbers left."""
    found = {
        role: names.index(name)
        for role, aliases in _ALIASES.items()
        if (name := next((alias for alias in aliases if alias in names), None))
    }
    asking = next((name for name in _ASKING if name in names), None)
    if "status" not in found and asking and not _numbers([[name] for name in names], 0, least=0):
        found["status"] = names.index(asking)
    if "status" not in found:
        if any(_status(name) for name in names):
            raise UserError(f"{path} begins with a trial: put the names of its columns on top, as {_EXAMPLE}")
        raise UserError(f"{path}: no column named status among {', '.join(names) or 'none'}")
    if metric is not None:
        if metric not in names:
            raise UserError(f"{path}: no column {metric} among {', '.join(names)}")
        return {**found, "score": names.index(metric)}
    free = [
        place
        for place, name in enumerate(names)
        if place not in found.values() and (name.startswith("val_") or not _NO_SCORE.fullmatch(name))
    ]
    scores = [place for place in free if names[place].startswith("val_")]
    scores = scores or [place for place in free if _known(names[place]) is not None]
    if not scores:
        scores = [place for place in free if _numbers(rows, place)]
        if len(scores) != 1:
            raise UserError(
                f"{path}: no column for the score: expected val_<metric> among {', '.join(names)}; --metric names it"
            )
    return {**found, "score": scores[0]}


def _numbers(rows: Sequence[Sequence[str]], place: int, least: float = 0.5) -> bool:
    """Whether more than this share of the rows have a number there."""
    cells = [row[place].strip().rstrip("%") for row in rows if place < len(row)]
    found = [re.fullmatch(r"[+-]?[0-9.,]+(e[+-]?[0-9]+)?", cell, re.IGNORECASE) for cell in cells]
    return sum(map(bool, found)) > least * len(rows)


def _status(text: str) -> str | None:
    """`KEEP`, `keep ✅`, `**kept**` and `keep (the best so far)` are one; `keep or not` is none of them."""
    words = re.split(r"[(:;,/\[]| [-\u2013\u2014] ", text.lower(), maxsplit=1)[0]
    return STATUSES.get(re.sub(r"[^a-z]+", " ", words).strip() or text.strip(_MARKUP + "\N{VARIATION SELECTOR-16}"))


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
    path: Path,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: dict[str, int],
    rising: bool,
) -> list[Recorded]:
    found: list[Recorded] = []
    segment, anew = 0, False
    grouped = _grouped(path, [row[columns["score"]] for row in rows if columns["score"] < len(row)])
    for number, row in enumerate(rows, start=2):
        if [cell.strip().lower() for cell in row] == list(names):
            anew = True  # another night was appended, with its line of names
            continue
        cells = {role: row[place].strip() if place < len(row) else "" for role, place in columns.items()}
        status = _status(cells["status"])
        if names[columns["status"]] in _ASKING:
            status = status or _YES_OR_NO.get(cells["status"].strip(_MARKUP).lower())
        if not cells["status"]:
            raise UserError(f"{path}, row {number} has no status in the column {names[columns['status']]}")
        if status is None:
            raise UserError(
                f"{path}, row {number}: unknown status {cells['status']!r};"
                f" known are {', '.join(sorted(set(STATUSES)))}"
            )
        if _status(cells["score"]) == "crash":
            status = "crash"
        score = None if status == "crash" else _score(path, number, cells["score"], grouped)
        again = status == "keep" and bool(_BASELINE.search(cells.get("description", "")))
        segment += (again or anew) and any(each.loss is not None for each in found)
        anew = False
        loss = None if score is None else -score if rising else score
        found.append(
            Recorded(
                number, cells.get("commit", ""), score, loss, status, cells.get("description", ""), segment
            )
        )
    return found


def _grouped(path: Path, cells: Sequence[str]) -> bool:
    """Whether a comma parts thousands, as in 25,000, and not decimals. Raises UserError where no cell tells."""
    written = [plain for cell in cells if "," in (plain := _plain(cell))]
    if any(not _THOUSANDS.fullmatch(plain) for plain in written):
        return False
    if written and all(re.fullmatch(r"[+-]?\d,\d{3}", plain) for plain in written):
        raise UserError(f"{path}: is {written[0]} above or below ten? Write it without the comma")
    return True


def _plain(text: str) -> str:
    """A number without markup, unit of per cent or spread behind it."""
    return re.split(r"\s*(?:±|\+/-)", text.replace("\N{MINUS SIGN}", "-"), maxsplit=1)[0].strip(_MARKUP + "%")


def _score(path: Path, number: int, text: str, grouped: bool) -> float | None:
    """None for what a harness writes where nothing was measured. Raises UserError for other text."""
    if text.lower() in _NOTHING:
        return None
    try:
        score = float(_plain(text).replace(",", "" if grouped else "."))
    except ValueError:
        raise UserError(f"{path}, row {number}: {text!r} is not a number") from None
    return score if math.isfinite(score) else None
