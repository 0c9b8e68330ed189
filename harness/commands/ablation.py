"""`python -m harness.ablation DIR [runs=3]`: which keeps of a session's stack still matter.

Each keep in turn is taken back from the head (three-way, so that the others stay) and measured against the head
on fresh seeds. A keep that later ones build on cannot be taken back alone; that is said, not guessed.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import run
from harness.errors import UserError
from harness.keep.noise_level import NoiseLevel, mean, pooled
from harness.records import Files, Role
from harness.session.reopen import only_folder, reopened

if TYPE_CHECKING:
    from harness.session.folder import OpenSession

_USAGE = "usage: python -m harness.ablation DIR [runs=3], DIR is the folder of a session"
_DEFAULT_RUNS = 3
_HEAD_FACTOR = 2  # every comparison uses the head's trials
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the head loses without one keep: `effect` in [low, high] with 90 %, positive if the keep helps.

    status: "matters", "harms", "not shown", "fails" (a trial without it ended without a score) or "entangled".
    """

    name: str
    status: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None


def contributions(
    head: Sequence[float], without: Mapping[str, Sequence[float | None] | None]
) -> list[Contribution]:
    """From losses of the head and of the head without each keep (None: could not be taken back alone).

    One-sided t tests at .05 with the sd pooled over all of them; no correction for their number: this is a
    hint for people, a certificate it is not. Raises ValueError for fewer than two trials of the head.
    """
    if len(head) < 2:
        raise ValueError("the head needs two trials with a score or more")
    complete = {name: finite for name, losses in without.items() if (finite := _complete(losses))}
    noise = pooled((head, *complete.values()))
    assert noise is not None
    found = []
    for name, losses in without.items():
        if name in complete:
            found.append(_compared(name, head, complete[name], noise))
        else:
            found.append(Contribution(name, "entangled" if losses is None else "fails"))
    return found


def _complete(losses: Sequence[float | None] | None) -> list[float]:
    finite = [loss for loss in losses or () if loss is not None]
    return finite if len(finite) == len(losses or ()) else []


def _compared(name: str, head: Sequence[float], losses: Sequence[float], noise: NoiseLevel) -> Contribution:
    from scipy.special import stdtrit

    effect = mean(losses) - mean(head)
    half = float(stdtrit(noise.df, 1 - _ALPHA)) * noise.sd * math.sqrt(1 / len(head) + 1 / len(losses))
    status = "matters" if effect - half > 0 else "harms" if effect + half < 0 else "not shown"
    return Contribution(name, status, effect, effect - half, effect + half)


def lines(found: Sequence[Contribution], unit: str = "") -> list[str]:
    suffix = f" {unit}" if unit else ""
    words = {
        "entangled": "later keeps build on it; it cannot be taken back alone",
        "fails": "the program fails without it",
    }
    return [
        f"{part.status:<9}  {part.name}: {words[part.status]}"
        if part.effect is None
        else f"{part.status:<9}  {part.name}: {part.effect:+.3g}{suffix} (90 % {part.low:+.3g} to {part.high:+.3g})"
        for part in found
    ]


def main(arguments: list[str]) -> int:
    """Raises HarnessError."""
    folder, runs = only_folder(arguments, _USAGE)
    with reopened(folder) as (setup, bench):
        said = lines(ablated(bench, folder, runs or _DEFAULT_RUNS), setup.task.unit)
        for line in said:
            bench.trial_runner.notice(f"ablation: {line}")
    print("\n".join(said))
    return 0


def ablated(bench: "OpenSession", folder: Path, runs: int) -> list[Contribution]:
    """Measures the head and every ablation of it, by turns."""
    workspace = bench.workspace
    keeps = workspace.keeps()
    if not keeps:
        raise UserError(f"{folder} kept nothing: there is nothing to take back")
    head = workspace.head()
    names = {commit: f"keep {number} ({commit[:8]})" for number, commit in enumerate(keeps, start=1)}
    without = {commit: workspace.without(commit) for commit in keeps}
    possible = {commit: files for commit, files in without.items() if files is not None}
    of_head: list[float | None] = []  # the head is itself the last keep: its trials are kept apart
    losses: dict[str, list[float | None]] = {commit: [] for commit in possible}
    print(f"{len(keeps)} keeps: {runs * (_HEAD_FACTOR + len(possible))} trials", file=sys.stderr, flush=True)
    for number in range(1, runs * _HEAD_FACTOR + 1):
        of_head.append(_loss(bench, workspace.files(head), "head", number))
        for commit, files in possible.items() if number <= runs else ():
            losses[commit].append(_loss(bench, files, f"without-{commit[:12]}", number))
    return contributions(
        [loss for loss in of_head if loss is not None],
        {names[commit]: losses.get(commit) for commit in keeps},
    )


def _loss(bench: "OpenSession", files: Files, what: str, number: int) -> float | None:
    """One trial; one that an earlier, interrupted call already made is not repeated."""
    state, name = bench.trial_runner.state, f"ablation-{what}-{number}"
    for seen in state.observations.get(f"ablation-{what}", []):
        if seen.trial_id.partition("~")[0] == name:
            return None if seen.score is None else state.loss(seen.score)
    found = bench.trial_runner.measure(files, f"ablation-{what}", Role.ABLATION, name)
    return None if found.score is None else state.loss(found.score)


if __name__ == "__main__":
    sys.exit(run(main, "harness.ablation", about=__doc__))
