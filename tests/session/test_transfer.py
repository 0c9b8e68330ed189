"""A certificate at another budget: real configuration, folders, ledgers, git and arithmetic; training is played.

The slow test at the end trains.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness.session.folder
from harness.commands import certify, run
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.ledger import chain
from harness.ledger.reading import session_folders
from harness.ledger.rows import TransferRow
from harness.ledger.session_record import load as load_session
from harness.records import Files, Outcome, TrialResult, TrialSpec
from harness.report.html.page import html_report
from harness.report.markdown import markdown_report
from harness.report.terminal.lines import event_line
from harness.report.words import transfer_lines
from harness.session.folder import OpenSession
from harness.session.session import Session
from harness.session.start import start
from harness.session.transfer import asked, certify_elsewhere, elsewhere, resized
from harness.task.budget import Budget
from tests.session.conftest import Killed, Recorder, Script, World, noise_of

Make = Callable[..., World]
OWN = ("task=digits", "budget.steps=100", "budget.seconds=10")
SHORT, LASTING = "loss = 0.5\n# short", "loss = 0.5\n# lasting"


def by_steps(made: World) -> World:
    """A program with the word "short" in it is better at 100 steps, and at 400 as good as the baseline."""
    real = made.machine.run

    def run_for(spec: TrialSpec, source: Files, stop: Any = None) -> TrialResult:
        found = real(spec, source, stop)
        if (
            b"short" in source["train.py"]
            and (spec.clock.steps or 0) >= 400
            and found.outcome is Outcome.COMPLETED
        ):
            value = 1.0 + 0.01 * noise_of(spec.seed)
            (made.folder / found.artefact).write_text(str(value))
        return found

    made.machine.run = run_for  # type: ignore[method-assign]
    return made


def kept(world: Make, text: str) -> Session:
    """A session that kept this proposal and certified it, on a clock of 100 steps."""
    made = by_steps(world([text], budget=Budget(certificate=4)))
    made.task = replace(
        made.task, profiles={"cpu": replace(made.task.profiles["cpu"], steps=100, seconds=10.0)}
    )
    session = made.session()
    session.run()
    assert session.trial_runner.state.certificate is not None
    return session


@pytest.fixture
def played(world: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TransferRow]:
    """played(session, "budget.steps=4x") asks; what is opened for it is another world of the same task."""

    def ask(session: Session, *arguments: str, stop_after: int | None = None, runs: int = 4) -> TransferRow:
        runner, setup = session.trial_runner, load([*OWN])

        @contextlib.contextmanager
        def opened(there: Setup, folder: Path, *_: object, files_of: object) -> Iterator[OpenSession]:
            folder.mkdir(parents=True, exist_ok=True)
            other = by_steps(World(folder, runner.task, Script(())))
            profile = there.budget.trial_profile(there.task)
            other.task = replace(other.task, profiles={"cpu": profile})
            began = other.session(Recorder(stop_after))
            yield OpenSession(folder, began.trial_runner, began.workspace, None, profile, False)  # type: ignore[arg-type]
            began.trial_runner.ledger.close()

        monkeypatch.setattr(harness.session.folder, "open_session", opened)
        bench = OpenSession(runner.folder, runner, session.workspace, None, runner.profile, False)  # type: ignore[arg-type]
        own = replace(setup, task=replace(setup.task, editable=("train.py",)))
        wanted = asked(arguments)
        assert wanted is not None
        return certify_elsewhere(bench, own, wanted, runs)

    return ask


def test_a_gain_that_lasts_carries_over_and_one_of_short_trials_does_not(
    world: Make, played: Callable[..., TransferRow]
) -> None:
    """Both are certified at 100 steps; at 400 one is still there. The answer is on the record, the trials beside it."""
    for text, word in ((LASTING, "carries_over"), (SHORT, "does_not")):
        session = kept(world, text)
        row = played(session, "budget.steps=4x")
        assert row.word == word
        assert (row.clock.steps, row.clock.seconds, row.own_clock.steps) == (400, 40.0, 100)
        assert (len(row.head_scores), len(row.baseline_scores)) == (4, 4)
        folder = session.trial_runner.folder
        assert load_session(folder).transfers == [row]
        assert chain.check(folder / row.folder)[1] == row.ledger_hash
        trials = load_session(folder / row.folder).trials
        assert [trial.role.value.removeprefix("certificate_") for trial in trials] == ["baseline", "head"] * 4
        assert not any("transfer" in each.parts for each in session_folders(folder.parent)), "not a session"


def test_the_answer_is_in_every_view(world: Make, played: Callable[..., TransferRow]) -> None:
    """Page, Markdown, terminal: the same words; a hostile name in what was asked is escaped."""
    session = kept(world, SHORT)
    row = played(session, "budget.steps=4x")
    state = session.trial_runner.state
    first = transfer_lines(row, "nats")[0]
    assert first.startswith(
        "at budget.steps=4x (400 steps; the session: 100 steps) the gain does NOT carry over"
    )
    assert "At other budgets" in html_report(state, session.trial_runner.folder)
    assert "does NOT carry over" in markdown_report(state)
    assert "does NOT carry over" in event_line(state, row)
    state.transfers[0] = row.model_copy(update={"asked": {"<script>": "x"}})
    assert "<script>" not in html_report(state, session.trial_runner.folder).split("At other budgets")[1]


def test_an_interrupted_one_is_gone_on_with_and_a_second_one_is_another(
    world: Make, played: Callable[..., TransferRow]
) -> None:
    """Killed after some trials: the same command makes the others only. Asked again, it makes new ones."""
    session = kept(world, LASTING)
    with pytest.raises(Killed):
        played(session, "budget.steps=4x", stop_after=7)
    row = played(session, "budget.steps=4x")
    names = [trial.trial_id for trial in load_session(session.trial_runner.folder / row.folder).trials]
    assert len({name.partition("~")[0] for name in names}) == 8
    again = played(session, "budget.steps=4x")
    assert again.folder == row.folder
    assert not set(again.head_scores) & set(row.head_scores), "fresh seeds"


def test_what_can_be_asked() -> None:
    """Times as much, absolute numbers, another profile's settings, numbers of the program."""
    setup = load([*OWN])
    for arguments, steps, seconds in (
        (["budget.steps=4x"], 400, 40.0),
        (["budget.steps=1600"], 1600, 160.0),
        (["budget.seconds=2x"], 100, 20.0),
        (["budget.steps=4x", "budget.seconds=15"], 400, 15.0),
    ):
        wanted = asked(arguments)
        assert wanted is not None
        profile = elsewhere(setup, wanted).budget.trial_profile(setup.task)
        assert (profile.steps, profile.seconds) == (steps, seconds)
    wanted = asked(["constants.HIDDEN=128", "executor.slots=2", "share=0.8"])
    assert wanted is not None
    assert (wanted.constants, wanted.share, wanted.where) == ({"HIDDEN": 128}, 0.8, {"executor.slots": "2"})
    made = resized(setup.task.source(), wanted.constants, setup.task.editable)
    assert b"HIDDEN = 128" in made["train.py"]
    assert asked([]) is None


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("budget.tempo=3", "a certificate elsewhere takes"),
        ("task=nanochat", "a certificate elsewhere takes"),
        ("share=2", "a share of the certified gain, 0 to 1"),
        ("share=.5", "say what is to be different"),
        ("budget.steps=fastx", "how many times as much"),
        ("budget.steps=many", "steps"),
        ("budget.steps=100", "the session's own budget"),
        ("profile=gpu", "no profile 'gpu'"),
        ("constants.HIDDEN=wide", "give a number"),
        ("constants.NOTHING=3", "0 such constants in the program; there are train.py:"),
    ],
)
def test_what_cannot_be_asked_is_one_line(argument: str, words: str) -> None:
    setup = load([*OWN])

    def ask() -> None:
        wanted = asked([argument])
        assert wanted is not None
        elsewhere(setup, wanted)
        resized(setup.task.source(), wanted.constants, setup.task.editable)

    with pytest.raises(UserError, match=words) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_steps_cannot_be_times_nothing_and_a_profile_with_its_own_program_is_refused() -> None:
    wanted = asked(["budget.steps=4x"])
    assert wanted is not None
    with pytest.raises(UserError, match="bounded by seconds"):
        elsewhere(load(["task=digits"]), wanted)
    wanted = asked(["profile=gpu"])
    assert wanted is not None
    with pytest.raises(UserError, match="a program of its own"):
        elsewhere(load(["task=nanochat"]), wanted)


@pytest.mark.slow
def test_a_real_session_at_four_times_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """digits on fixed steps: momentum was kept, and its gain is measured at 4x; a mistake is one line and changes
    nothing; the ledgers of both verify."""
    folder = tmp_path / "one"
    start(
        load(
            [
                "task=digits",
                "agent=replay",
                "keep=greedy",
                "budget.steps=100",
                "budget.seconds=60",
                "budget.certificate=2",
                "budget.proposals=1",
                f"session.folder={tmp_path}",
                "session.tag=one",
            ]
        )
    )
    before = chain.read(folder)
    assert run(certify.main, argv=[str(folder), "budget.steps=100"]) == 2
    assert chain.read(folder) == before
    assert run(certify.main, argv=[str(folder), "budget.steps=4x", "runs=2"]) == 0
    said = capsys.readouterr().out
    assert "at budget.steps=4x (400 steps; the session: 100 steps)" in said
    state = load_session(folder)
    [row] = state.transfers
    assert row.gain is not None
    assert row.certified_gain is not None
    assert state.ended is not None
    assert chain.check(folder)[0] == state.length
    assert chain.check(folder / row.folder)[1] == row.ledger_hash
