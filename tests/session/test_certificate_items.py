"""A certificate's second interval in a session: real files, rows and arithmetic; items are played."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.commands.certify import lines
from harness.ledger.rows import ScoredRow
from harness.ledger.session_record import load
from harness.records import ItemScores, Score, Split
from harness.report.words import certificate_lines, item_lines
from harness.session.item_files import FOLDER
from harness.session.session import Session
from harness.task.budget import Budget
from tests.session.conftest import Killed, Recorder, World, noise_of

Make = Callable[..., World]
COUNT = 40


def with_items(made: World, spread: float) -> World:
    """On the sealed split every score is made of items. spread: how differently items profit from what is better."""
    real = made.machine.score

    def score(*arguments: Any) -> Score:
        found = real(*arguments)
        if arguments[2] is not Split.TEST or found.value is None:
            return found
        profit = [spread * (found.value - 1.0) * noise_of(number) for number in range(COUNT)]
        middle = sum(profit) / COUNT
        values = tuple(found.value + each - middle for each in profit)
        return dataclasses.replace(found, items=ItemScores("documents", values, (1.0,) * COUNT))

    made.machine.score = score  # type: ignore[method-assign]
    return made


def finished(world: Make, spread: float, *trackers: Recorder) -> tuple[World, Session]:
    made = with_items(world(["loss = 0.5\n# better"], budget=Budget(certificate=3)), spread)
    session = made.session(*trackers)
    session.run()
    return made, session


def test_the_gain_has_an_interval_over_items_beside_that_over_seeds(world: Make) -> None:
    """Seeds hardly matter and documents do: the first interval is narrow, the second wide, both hold the gain."""
    made, session = finished(world, spread=3.0)
    row = load(made.folder).certificate
    assert row is not None
    assert (row.item_kind, row.items, row.passed) == ("documents", COUNT, True)
    assert row.gain is not None
    assert row.low is not None
    assert row.high is not None
    assert row.item_low is not None
    assert row.item_high is not None
    assert row.item_low < row.low < row.gain < row.high < row.item_high
    said = certificate_lines(session.trial_runner.state)
    assert "interval over seeds" in said[0]
    assert said[1].startswith("95% interval over 40 documents (paired bootstrap, seeds as they are): +0.")


def test_a_gain_that_hangs_on_a_few_documents_is_said_to(world: Make) -> None:
    """Certified on these documents by every seed, and not shown on others: the second interval holds zero."""
    _, session = finished(world, spread=9.0)
    row = session.trial_runner.state.certificate
    assert row is not None
    assert row.passed
    assert (row.item_low or 0.0) < 0 < (row.item_high or 0.0)
    assert item_lines(row)[0].endswith("on other documents a gain is not shown")


def test_items_are_on_the_record_and_out_of_the_rows(world: Make) -> None:
    """A file a trial with its digest in the row; val's scores have none, and no row holds a list of them."""
    made, session = finished(world, spread=1.0)
    files = sorted(path.name for path in (made.folder / FOLDER).iterdir())
    assert files == sorted(f"cert1-{side}-{run}.json" for side in ("head", "baseline") for run in (1, 2, 3))
    assert len(json.loads((made.folder / FOLDER / files[0]).read_text())["values"]) == COUNT
    for trial in session.trial_runner.state.trials:
        assert trial.scored is not None
        assert bool(trial.scored.items_sha256) == (trial.scored.split is Split.TEST)
    assert "items" not in ScoredRow.model_fields


def test_a_changed_file_is_not_believed(world: Make) -> None:
    """One number of one file is touched before the certificate is made: it then says nothing about documents."""
    made = with_items(world(["loss = 0.5\n# better"], budget=Budget(certificate=3)), 1.0)
    rows = made.session(recorder := Recorder())
    rows.run()
    last = next(row.seq for row in reversed(recorder.seen) if row.kind == "scored")
    other = with_items(world(["loss = 0.5\n# better"], budget=Budget(certificate=3)), 1.0)
    with pytest.raises(Killed):
        other.session(Recorder(last)).run()
    file = other.folder / FOLDER / "cert1-head-2.json"
    file.write_text(file.read_text().replace("0.", "0.1", 1))
    resumed = other.session()
    resumed.run()
    row = resumed.trial_runner.state.certificate
    assert row is not None
    assert (row.passed, row.items, row.item_low) == (True, 0, None)


def test_without_items_the_certificate_says_what_its_interval_covers(world: Make) -> None:
    made = world(["loss = 0.5\n# better"], budget=Budget(certificate=2))
    session = made.session()
    session.run()
    row = session.trial_runner.state.certificate
    assert row is not None
    assert item_lines(row) == [
        "the interval covers seeds, not other documents or items: none of them are told or compared"
    ]
    assert "interval over seeds" in lines(row)[0]
