"""Between a trial's last row and its score lies nothing but a file: whatever becomes of that, no verdict changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ledger import chain
from harness.ledger.rows import ScoredRow, TrialFinishedRow
from harness.records import Role
from tests.session.conftest import Killed, Recorder, World

BETTER = "loss = 0.8\n# a larger model"
WORSE = "loss = 1.5\n# less of it"
Make = Callable[..., World]


def emptied(file: Path) -> None:
    """As a power cut leaves a file whose name came to the disk before its bytes."""
    file.write_bytes(b"")


def forged(file: Path) -> None:
    file.write_text("-5.0")


def verdicts(rows: list[chain.JsonRow]) -> list[tuple[object, ...]]:
    return [(row["proposal"], row["decision"], row["reason"]) for row in rows if row["kind"] == "decided"]


def killed_before_the_score(made: World, role: Role) -> str:
    """Ends the session when the first trial of that role has finished; its artefact's place in the folder."""
    finished: list[TrialFinishedRow] = []

    class Watching(Recorder):
        def record(self, row: object) -> None:
            if isinstance(row, TrialFinishedRow) and row.role is role:
                finished.append(row)
                raise Killed

    with pytest.raises(Killed):
        made.session(Watching()).run()
    return finished[0].artefact


@pytest.mark.parametrize("damage", [Path.unlink, emptied, forged])
@pytest.mark.parametrize("role", [Role.BASELINE, Role.CANDIDATE, Role.CERTIFICATE_HEAD])
def test_an_artefact_that_is_lost_before_its_score(
    world: Make, damage: Callable[[Path], object], role: Role
) -> None:
    """Gone, empty or another: the trial is made again on a fresh seed, and nobody is blamed or served by it."""
    whole, made = world([WORSE, BETTER]), world([WORSE, BETTER])
    whole.session().run()
    artefact = killed_before_the_score(made, role)
    damage(made.folder / artefact)
    made.session().run()
    rows = chain.read(made.folder)
    assert verdicts(rows) == verdicts(chain.read(whole.folder))
    name = artefact.rpartition("/")[2]
    told = [(row["trial_id"], row["status"], row["reason"]) for row in rows if row["kind"] == "scored"]
    assert [each for each in told if each[0] == name] == [(name, "infra_failed", "artefact.lost")]
    assert (f"{name}~2", "scored", "") in told
    state = made.session().trial_runner.state
    assert not state.unscored
    assert state.incumbent_score is not None
    assert state.incumbent_score > 0


@pytest.mark.parametrize("role", [Role.BASELINE, Role.CANDIDATE])
def test_one_that_is_there_is_scored_and_not_made_again(world: Make, role: Role) -> None:
    """The honest twin: a kill alone costs no trial."""
    made = world([WORSE, BETTER])
    artefact = killed_before_the_score(made, role)
    made.session().run()
    name = artefact.rpartition("/")[2]
    scored = [row for row in made.session().trial_runner.state.trials if row.trial_id == name]
    assert [trial.scored.status for trial in scored if isinstance(trial.scored, ScoredRow)] == ["scored"]
    assert not [trial for trial in made.machine.runs if trial.trial_id == f"{name}~2"]
