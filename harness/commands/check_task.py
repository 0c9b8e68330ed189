"""`harness check-task NAME [key=value ...]`: does a task keep the contract? Runs five short real trials.

What is checked: golden scores, held-out data that lie in public ones or that can be made again, the order of the data,
imports that are billed, what the same seed twice gives, how much seeds differ, that scoring twice gives one score, that
a candidate which only claims a score gets none, that side metrics with a limit are measured, and that evaluate.py
rejects garbage instead of failing. Prints a line for each; exit code 1 if one of them fails.

Examples:

    harness check-task digits
    harness check-task my_task budget=smoke
"""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from harness.commands import run
from harness.errors import UserError
from harness.records import Outcome, Score, TrialResult
from harness.session.rig import Rig, opened
from harness.task import golden
from harness.task.check_forgery import GARBAGE, forger, sayer
from harness.task.check_held_out import held_out, secret_shown, tree_shown
from harness.task.check_imports import late_imports, watched
from harness.task.check_leak import MOST_SHARE, leak
from harness.task.check_order import reordering
from harness.task.waiting import BEFORE_FIRST, told

USAGE = "harness check-task NAME [key=value ...]"
_SEEDS = (1, 2, 1)
_TRIALS = len(_SEEDS) + 2  # the watched one and the forger's
_OF_TRIALS = "side limits, scoring twice, the same seed twice, imports after the gate"
_CLOSE = 0.02  # relative
_PROMISED = {
    "bitwise": "task.yaml promises the same bytes (determinism: bitwise)",
    "close": f"task.yaml promises {_CLOSE:.0%} or less (determinism: close)",
    "none": "task.yaml promises nothing about that (determinism: none), so anything is fine",
}


@dataclass
class Report:
    """What was found, a line each."""

    failed: int = 0
    lines: list[str] = field(default_factory=list)

    def say(self, good: bool | None, text: str) -> None:
        """good: None where there is nothing to check."""
        word = {True: "ok  ", False: "FAIL", None: "-   "}[good]
        self.failed += good is False
        self.lines.append(f"{word}  {text}")
        print(self.lines[-1], flush=True)


def main(arguments: list[str]) -> int:
    """Raises UserError."""
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        raise UserError(f"usage: {USAGE}")
    from harness.config.setup import load

    setup = load([f"task={arguments[0]}", *arguments[1:]], proposing=False)
    with tempfile.TemporaryDirectory(prefix="check-") as folder, opened(setup, Path(folder)) as rig:
        report = check(rig)
    print("the task keeps the contract" if not report.failed else f"{report.failed} of the checks failed")
    return 1 if report.failed else 0


def check(rig: Rig) -> Report:
    report = Report()
    check_golden(rig, report)
    check_leak(rig, report)
    with told("looking for held-out data in what can be read or made again"):
        found = held_out(rig.task, rig.profile_name, rig.data)
    report.say(*found)
    report.say(*secret_shown(rig.task, rig.profile_name, rig.data))
    report.say(*tree_shown(rig.task))
    report.say(*reordering(rig.task, rig.profile, rig.data))
    trials = check_trials(rig, report)
    if trials:
        check_limits(rig, report, trials[0][1])
        check_repeat(rig, report, *trials)
        with told(f"making trial 4 of {_TRIALS}, imports watched"):
            result = rig.trial("watched", watched(rig.task), 1)
        ended = " ".join(filter(None, (result.outcome.value, result.reason)))
        report.say(*late_imports(result.claims, rig.profile.seconds, ended))
    else:
        report.say(None, f"left out, as a trial failed: {_OF_TRIALS}")
    check_forged(rig, report)
    check_garbage(rig, report)
    return report


def check_golden(rig: Rig, report: Report) -> None:
    if not golden.golden_folder(rig.task).is_dir():
        report.say(
            None,
            "golden score: the task has none (a folder golden/ shows later that scoring has not changed)",
        )
        return
    with told("scoring the golden artefact"):
        problems = golden.check(rig.task, rig.open_evaluator)
    report.say(not problems, "golden score: " + ("; ".join(problems) or "reproduced"))


def check_leak(rig: Rig, report: Report) -> None:
    share, same = leak(rig.data.public, rig.data.private)
    text = f"held-out data: {share:.1%} of private windows of bytes occur in public"
    if same:
        text += f"; these private files lie there whole: {', '.join(same)}"
    report.say(share <= MOST_SHARE and not same, text)


def check_trials(rig: Rig, report: Report) -> list[tuple[TrialResult, Score]]:
    """Three trials of the unmodified task: two seeds, and the first one again; empty if one did not end well."""
    source, found = rig.task.source(), []
    for number, seed in enumerate(_SEEDS, 1):
        first = f" {BEFORE_FIRST}" if number == 1 else ""
        with told(f"making trial {number} of {_TRIALS}, seed {seed}{first}"):
            result = rig.trial(f"check-{number}", source, seed)
        if result.outcome is not Outcome.COMPLETED:
            report.say(
                False, f"trial with seed {seed}: {result.outcome.value}, {result.reason}: {_last(result.log)}"
            )
            return []
        with told(f"scoring trial {number}"):
            score = rig.score(result, source)
        if score.value is None:
            report.say(False, f"score of seed {seed}: {score.status}, {score.reason}: {_last(score.detail)}")
            return []
        found.append((result, score))
    seconds = ", ".join(f"{result.billed_seconds:.1f} s billed" for result, _ in found[:1])
    report.say(
        True,
        f"trials: {rig.task.metric} {_value(found[0][1])} and {_value(found[1][1])} on two seeds, {seconds}",
    )
    return found


def check_limits(rig: Rig, report: Report, score: Score) -> None:
    """What the task limits has to be measured, or no candidate could ever be kept."""
    limits = rig.task.side_limits
    missing = [name for name in limits if name not in score.side]
    if limits:
        said = f"not measured: {', '.join(missing)}" if missing else f"measured: {', '.join(limits)}"
        report.say(not missing, f"side limits: {said}")


def check_repeat(rig: Rig, report: Report, *trials: tuple[TrialResult, Score]) -> None:
    (first, score), (_, other), (again, repeated) = trials
    rescored = rig.score(first, rig.task.source())
    same = rescored.value is not None and _difference(rescored, score) <= 1e-6
    report.say(same, f"scoring twice: {_value(score)} and {_value(rescored)}")
    bitwise = first.artefact_sha256 == again.artefact_sha256
    difference = _difference(score, repeated)
    kept = {"bitwise": bitwise, "close": difference <= _CLOSE, "none": True}[rig.task.determinism]
    what = "the same bytes" if bitwise else f"scores {difference:.2%} apart"
    report.say(kept, f"the same seed twice: {what}; {_PROMISED[rig.task.determinism]}")
    if bitwise and _difference(score, other) == 0:
        report.say(None, "seeds: two gave the same score; does train.py use --seed?")


def check_forged(rig: Rig, report: Report) -> None:
    """A candidate that prints, claims and writes the score it would like, and trains nothing."""
    source = forger(rig.task)
    with told(f"making trial {_TRIALS} of {_TRIALS}, which only claims a score"):
        result = rig.trial("forged", source, 3)
    if result.outcome is not Outcome.COMPLETED:
        counts = result.outcome is not Outcome.INFRA_FAILED
        said = f"no score, the trial counts as {result.outcome.value} ({result.reason})"
        report.say(counts, f"forged score: {said}")
        return
    score = rig.score(result, source)
    report.say(
        score.status == "invalid", f"forged score: {score.status} {_value(score)} {score.reason}".rstrip()
    )


def check_garbage(rig: Rig, report: Report) -> None:
    """What is no artefact or no answer is the candidate's fault: invalid, not an error of ours and not a score."""
    suffix = Path(rig.task.artefact).suffix
    source = rig.task.source()
    with told("scoring garbage"):
        scores = {name: rig.score_bytes(name, content, source) for name, content in GARBAGE[suffix].items()}
        for said in ("None", "{}", "-1") if rig.task.predictor == "items" else ():
            scores[f"answer {said}"] = rig.score_bytes(
                "said", GARBAGE[suffix]["empty"], sayer(rig.task, said)
            )
    bad = [
        f"{name}: {score.status} {_value(score)} {_last(score.detail)}"
        for name, score in scores.items()
        if _wrong(name, score)
    ]
    report.say(not bad, "garbage: " + ("; ".join(bad) or f"{len(scores)} kinds are rejected"))


def _wrong(name: str, score: Score) -> bool:
    """An answer of the right form may get a (bad) score; nothing may make evaluate.py fail."""
    failed = score.status == "infra_failed" or score.reason.startswith("evaluation.")
    return failed or (score.status == "scored" and not name.startswith("answer"))


def _difference(one: Score, other: Score) -> float:
    """Relative."""
    assert one.value is not None
    assert other.value is not None
    return abs(one.value - other.value) / max(abs(one.value), abs(other.value), 1e-12)


def _value(score: Score) -> str:
    return "" if score.value is None else f"{score.value:.6g}"


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else ""


if __name__ == "__main__":
    sys.exit(run(main, "harness.check_task", about=__doc__))
