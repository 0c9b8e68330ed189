"""Measures whether a session's gain holds at another budget, profile or size: fresh trials of head and baseline there.

They are made in a folder of their own inside the session's, `transfer/NAME`, with a ledger of their own: another clock
is another configuration, and nothing of it may be taken for the session's evidence. What came of it is a row of the
session's ledger, which holds the hash of that ledger's last row.
"""

import ast
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.agents.controls.constants import TunableConstant, find_constants, replace_constants
from harness.errors import UserError
from harness.keep.certificate import RUNS
from harness.keep.transfer import SHARE, transfer
from harness.ledger.rows import CertificateRow, TransferRow
from harness.ledger.session_record import SessionRecord
from harness.records import Files, Observation, Role, Split
from harness.session.names import certificate_pair
from harness.trial.conditions import alike

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.session.folder import OpenSession
    from harness.session.trial_runner import TrialRunner
    from harness.task.task import Profile

_BUDGET = ("profile", "seconds", "steps", "startup_seconds", "clock", "memory_gib")
_SCALED = ("seconds", "steps")
_WHERE = ("executor.slots", "executor.gpus", "executor.gpu")
_CONSTANT = "constants."
_ROLES = (
    Role.CERTIFICATE_BASELINE,
    Role.CERTIFICATE_HEAD,
)  # the baseline first: what answers may cost comes from it
KNOWN = "budget.seconds, budget.steps (4x: four times), profile, constants.NAME, share, executor.slots"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be different. budget: of the budget, without "budget."; where: of the executor; constants: name ->
    number in both programs; share: of the certified gain, that is asked for.
    """

    budget: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, int | float] = field(default_factory=dict)
    share: float = SHARE

    @property
    def words(self) -> dict[str, str]:
        """As they were given, for the record."""
        said = {f"budget.{name}": value for name, value in self.budget.items()}
        return said | {f"{_CONSTANT}{name}": str(value) for name, value in self.constants.items()}


def asked(arguments: Sequence[str]) -> Asked | None:
    """From `key=value` arguments; None without any. Raises UserError for others than can be different."""
    budget, where, constants, share = dict[str, str](), dict[str, str](), dict[str, int | float](), SHARE
    for argument in arguments:
        key, _, value = argument.partition("=")
        name = key.removeprefix("budget.")
        if key == "share":
            share = _share(value)
        elif key in _WHERE:
            where[key] = value
        elif key.startswith(_CONSTANT):
            constants[key.removeprefix(_CONSTANT)] = _number(key, value)
        elif value and name in _BUDGET and key in (f"budget.{name}", "profile"):
            budget[name] = value
        else:
            raise UserError(f"{argument}: a certificate elsewhere takes {KNOWN}")
    if not budget and not constants:
        if arguments:
            raise UserError(f"say what is to be different, e.g. budget.seconds=4x; there are {KNOWN}")
        return None
    return Asked(budget, where, constants, share)


def _share(value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UserError(f"share={value}: give a share of the certified gain, 0 to 1")
    return found


def _number(key: str, value: str) -> int | float:
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        found = None
    if type(found) not in (int, float):
        raise UserError(f"{key}={value}: give a number")
    assert isinstance(found, int | float)
    return found


def elsewhere(setup: "Setup", wanted: Asked) -> "Setup":
    """The session's configuration with what is to be different. Raises UserError, one line."""
    from harness.config.setup import load

    own = setup.budget.trial_profile(setup.task)
    changes = {name: _scaled(name, value, own) for name, value in wanted.budget.items()}
    if "steps" in changes and "seconds" not in changes and own.steps and changes["steps"].isdecimal():
        factor = int(changes["steps"]) / own.steps  # seconds are a cap on fixed work, and grow with it
        changes |= {"seconds": f"{factor * own.seconds:g}"} if factor > 1 else {}
    said = [f"budget.{name}={value}" for name, value in changes.items()]
    said += [f"{key}={value}" for key, value in wanted.where.items()]
    made = load([*_without(setup.arguments, said), *said])
    if made.budget.trial_profile(made.task) == own and not wanted.constants:
        raise UserError("that is the session's own budget: harness certify TAG measures there")
    if made.task.source() != setup.task.source():
        profile = made.budget.profile
        raise UserError(
            f"profile {profile} has a program of its own: what the session kept was made from another"
        )
    return made


def _without(arguments: Sequence[str], said: Sequence[str]) -> list[str]:
    """The session's arguments, but for those that are given anew."""
    keys = {each.partition("=")[0] for each in said}
    return [each for each in arguments if each.partition("=")[0].lstrip("+") not in keys]


def _scaled(name: str, value: str, own: "Profile") -> str:
    """4x: four times what the session's trials have."""
    if name not in _SCALED or not value.endswith("x"):
        return value
    base = getattr(own, name)
    if base is None:
        raise UserError(f"budget.{name}={value}: the session's trials are bounded by seconds, not by {name}")
    try:
        factor = float(value.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e6:
        raise UserError(f"budget.{name}={value}: give a number, or how many times as much, e.g. 4x")
    return f"{round(base * factor)}" if name == "steps" else f"{base * factor:g}"


def resized(source: Files, constants: Mapping[str, int | float], editable: Sequence[str]) -> Files:
    """The program with other numbers. Raises UserError for a name that is not one constant of it."""
    found = dict(source)
    for name, value in constants.items():
        places = [each for each in _constants(found, editable) if _named(each, name)]
        if len(places) != 1:
            known = ", ".join(sorted({each.name for each in _constants(found, editable)})[:12])
            raise UserError(
                f"{_CONSTANT}{name}: {len(places)} such constants in the program; there are {known}"
            )
        place = places[0]
        found[place.file] = replace_constants(found[place.file], {place: value})
    return found


def _constants(source: Files, editable: Sequence[str]) -> Iterator[TunableConstant]:
    for file in editable:
        yield from find_constants(file, source.get(file, b""))


def _named(constant: TunableConstant, name: str) -> bool:
    """By its whole name, or by the last part of it."""
    return constant.name == name or constant.name.partition(":")[2].rpartition(".")[2] == name


def certify_elsewhere(bench: "OpenSession", setup: "Setup", wanted: Asked, trials: int) -> TransferRow:
    """`trials` of either side, then one row. bench, setup: of the session itself. An interrupted one is gone on with.

    Raises UserError for what cannot be asked, InfrastructureError.
    """
    from harness.report.terminal.progress import Progress
    from harness.session.folder import open_session

    state, there = bench.trial_runner.state, elsewhere(setup, wanted)
    programs = {
        role: resized(bench.workspace.files(commit), wanted.constants, setup.task.editable)
        for role, commit in zip(_ROLES, (state.baseline, state.incumbent), strict=True)
    }
    folder = bench.folder / "transfer" / _name(state.incumbent, there, wanted)
    place = str(folder.relative_to(bench.folder))
    files_of = _Programs(state.incumbent, programs[_ROLES[1]], programs[_ROLES[0]])
    number = 1 + sum(row.folder == place for row in state.transfers)
    count = trials or setup.budget.certificate or RUNS
    with open_session(there, folder, (Progress(),), files_of=files_of) as opened:
        runner = opened.trial_runner
        commits = {_ROLES[0]: runner.state.baseline, _ROLES[1]: state.incumbent}
        seen = _measured(runner, programs, commits, number, count)
        chain = runner.ledger.head
    row = _row(state, wanted, there, seen)
    written = bench.trial_runner.record(
        row.model_copy(
            update={"folder": place, "ledger_hash": chain, "own_clock": bench.profile.trial_clock()}
        )
    )
    assert isinstance(written, TransferRow)
    return written


def _name(head: str, there: "Setup", wanted: Asked) -> str:
    """Of its folder: the same for the same question about the same head."""
    question = json.dumps([there.fingerprint, sorted(wanted.constants.items())])
    return f"{head[:10]}-{hashlib.sha256(question.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class _Programs:
    """What a sitting that goes on finds by a trial's commit: there are two."""

    head_commit: str
    head: Files
    baseline: Files

    def __call__(self, commit: str) -> Files:
        return self.head if commit == self.head_commit else self.baseline


def _measured(
    runner: "TrialRunner",
    programs: Mapping[Role, Files],
    commits: Mapping[Role, str],
    number: int,
    count: int,
) -> dict[Role, list[Observation]]:
    """By turns, what is there already left out. number: of the time that it is asked."""
    prefix = {role: f"transfer{number}-{role.value.removeprefix('certificate_')}-" for role in _ROLES}
    asked_for = [
        (role, f"{prefix[role]}{trial}", certificate_pair(number, trial))
        for trial in range(1, count + 1)
        for role in _ROLES
    ]
    made = {seen.trial_id.partition("~")[0] for of_it in runner.state.observations.values() for seen in of_it}
    left = [each for each in asked_for if each[1] not in made]
    runner.expect(
        [
            runner.order(programs[role], commits[role], role, name, split=Split.TEST, pair=pair)
            for role, name, pair in left
        ]
    )
    for role, name, pair in left:
        runner.measure(programs[role], commits[role], role, name, split=Split.TEST, pair=pair)
    runner.expect([])
    names = {name for _, name, _ in asked_for}
    return {
        role: [
            seen
            for seen in runner.state.counted(commits[role], role)
            if seen.trial_id.partition("~")[0] in names
        ]
        for role in _ROLES
    }


def _row(
    state: SessionRecord, wanted: Asked, there: "Setup", seen: Mapping[Role, Sequence[Observation]]
) -> TransferRow:
    baseline, head = ([trial.score for trial in seen[role]] for role in _ROLES)
    same = alike(*([trial.machine for trial in seen[role]] for role in _ROLES))
    certificate = state.certificate or CertificateRow()
    own = (certificate.head_scores, certificate.baseline_scores)
    losses = [
        [None if score is None else state.loss(score) for score in side] for side in (head, baseline, *own)
    ]
    found = transfer(losses[0], losses[1], losses[2], losses[3], wanted.share)
    arithmetic = dataclasses.asdict(found.found)
    del arithmetic["passed"]
    return TransferRow(
        head_commit=state.incumbent,
        baseline_commit=state.baseline,
        asked=wanted.words,
        profile=there.budget.profile,
        clock=there.budget.trial_profile(there.task).trial_clock(),
        head_scores=head,
        baseline_scores=baseline,
        certified_gain=certificate.gain,
        share=wanted.share,
        lacking=found.lacking,
        word=found.word if same else "cannot_tell",
        conditions_alike=same,
        **arithmetic,
    )
