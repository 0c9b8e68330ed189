"""What the arms of a sweep will take and cost, said before anything is started."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from harness.config.setup import Setup
from harness.config.target import is_ours
from harness.errors import HarnessError
from harness.keep.planning import trials_expected
from harness.ledger.reading import LEDGER, Tail, session_folders
from harness.ledger.session_record import SessionRecord
from harness.report.escape import one_line
from harness.sweep.arms import Arm, Sweep

_MOST_SESSIONS = 40  # earlier ones that are read, the newest first


@dataclass(frozen=True, slots=True)
class Expected:
    """hours: of trials, None where nothing limits them. dollars: likewise, 0 where none are spent.

    measured: how many earlier sessions here the time of a trial and the price of a proposal come from.
    """

    hours: float | None
    dollars: float | None
    measured: int = 0


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What an earlier session here took: wall seconds of a trial, dollars of a proposal."""

    task: str
    budget: tuple[object, ...]
    agent: object
    trial_seconds: float
    proposal_dollars: float


def estimate_lines(sweep: Sweep, setups: Sequence[Setup], places: int, abreast: int) -> list[str]:
    """A line an arm, then all together. places: trials at a time; abreast: sessions that share one place."""
    earlier = [*_earlier(sweep.folder.parent)]
    found = [estimate(setup, earlier) for setup in setups]
    width = min(60, max(len(arm.label) for arm in sweep.arms))
    lines = [f"sweep {sweep.folder}: {len(sweep.arms)} arms, nothing is started"]
    lines += [_line(arm, each, width) for arm, each in zip(sweep.arms, found, strict=True)]
    lines += [
        f"not an arm of its own, its agent reads no program: {one_line(label, 200)}" for label in sweep.merged
    ]
    hours, dollars = [each.hours for each in found], [each.dollars for each in found]
    lines.append(
        f"in all {_hours(_sum(hours))}, about {_hours(_sum(hours), places)} with {places} "
        f"{'trial' if places == 1 else 'trials'} at a time ({places * abreast} sessions share them); "
        f"{_money(_sum(dollars))}"
    )
    known = max(each.measured for each in found)
    lines.append(
        f"from {known} earlier sessions in {sweep.folder.parent}"
        if known
        else "from the budget's seconds alone (no earlier session here): starting, scoring and thinking come on top"
    )
    return lines


def estimate(setup: Setup, earlier: Sequence["_Earlier"] = ()) -> Expected:
    """Of one session: its limits, and what earlier ones of the same task and budget took for a trial."""
    budget = setup.budget
    alike = [each for each in earlier if (each.task, each.budget) == (setup.task.name, _budget(setup.config))]
    seconds = [each.trial_seconds for each in alike if each.trial_seconds > 0]
    trial = sum(seconds) / len(seconds) if seconds else budget.trial_profile(setup.task).seconds
    trials = trials_expected(setup.keep, budget.trials, budget.proposals, budget.certificate)
    hours = None if trials is None else trials * trial / 3600
    limits = [each for each in (hours, budget.hours) if each is not None]
    dollars, priced = _dollars(setup, earlier)
    return Expected(min(limits, default=None), dollars, max(len(seconds), priced))


def _dollars(setup: Setup, earlier: Sequence["_Earlier"]) -> tuple[float | None, int]:
    """At most so much, and how many earlier sessions say so."""
    agent, budget = setup.config["agent"], setup.budget
    if "limits" not in agent and is_ours(type(setup.agent)):
        return 0.0, 0
    same = [each for each in earlier if each.agent == agent and each.proposal_dollars > 0]
    price = sum(each.proposal_dollars for each in same) / len(same) if same else _limit(agent)
    whole = None if budget.proposals is None or price is None else budget.proposals * price
    return min((each for each in (budget.dollars, whole) if each is not None), default=None), len(same)


def _limit(agent: Mapping[str, Any]) -> float | None:
    """What one proposal may cost, if anything says so."""
    limits = agent.get("limits")
    dollars = limits.get("dollars") if isinstance(limits, Mapping) else None
    return float(dollars) if isinstance(dollars, int | float) else None


def _budget(config: object) -> tuple[object, ...]:
    """What decides how long a trial takes."""
    node = config["budget"] if isinstance(config, dict) else {}
    return (
        tuple(node.get(name) for name in ("profile", "seconds", "clock", "steps"))
        if isinstance(node, dict)
        else ()
    )


def _earlier(folder: Path) -> Iterator[_Earlier]:
    """The newest sessions below a folder; one that cannot be read teaches nothing."""
    files = sorted(
        (each / LEDGER for each in session_folders(folder)),
        key=lambda file: file.stat().st_mtime,
        reverse=True,
    )
    for file in islice(files, _MOST_SESSIONS):
        try:
            session = SessionRecord(Tail(file).rows())
        except (HarnessError, ValueError):
            continue
        if session.length and session.started.config:
            config = session.started.config
            wall = [trial.measured.wall_seconds for trial in session.trials if trial.measured.wall_seconds]
            yield _Earlier(
                session.started.task,
                _budget(config),
                config.get("agent"),
                sum(wall) / len(wall) if wall else 0.0,
                session.dollars / len(session.decided) if session.decided else 0.0,
            )


def _line(arm: Arm, found: Expected, width: int) -> str:
    return f"  {one_line(arm.label, 200):<{width}}  {_hours(found.hours)}, {_money(found.dollars)}"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _hours(hours: float | None, places: int = 1) -> str:
    if hours is None:
        return "no limit of hours (budget.hours, .trials or .proposals)"
    share = hours / places
    return f"{share:.1f} h" if share >= 1 else f"{60 * share:.0f} min"


def _money(dollars: float | None) -> str:
    if dollars is None:
        return "no limit of dollars (budget.dollars)"
    return f"at most ${dollars:.2f}" if dollars else "$0"
