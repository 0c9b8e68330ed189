"""Who ended the harness: only its death in a candidate's trial counts against that, and a full disk is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.ledger import chain
from harness.ledger.chain import Ledger
from harness.ledger.rows import Row, TrialStartedRow
from harness.records import Outcome, Role
from harness.session.sitting import MARK, Sitting
from tests.session.conftest import Killed, Recorder, World

BETTER = "loss = 0.8\n# a larger model"
Make = Callable[..., World]


def never() -> bool:
    return False


@pytest.mark.parametrize(
    ("error", "failed", "in_order"),
    [
        (None, False, True),
        (KeyboardInterrupt(), False, True),
        (OSError(28, "No space left on device"), True, True),
        (HarnessError("it could not be written"), True, True),
        (HarnessError("the repository is gone"), False, True),
        (OSError(24, "Too many open files"), False, False),
        (AssertionError("a mistake of ours"), False, False),
    ],
)
def test_what_is_an_orderly_end(tmp_path: Path, error: BaseException | None, failed: bool, in_order: bool) -> None:
    """Done, ended by a signal, or unable to write rows; not what a candidate may have brought about."""

    def sit() -> None:
        with Sitting(tmp_path, lambda: failed):
            assert (tmp_path / MARK).exists()
            if error is not None:
                raise error

    if error is None:
        sit()
    else:
        with pytest.raises(type(error)):
            sit()
    with Sitting(tmp_path, never) as later:
        assert later.ended_in_order is in_order


def test_a_death_is_remembered_until_it_is_on_the_record(tmp_path: Path) -> None:
    """A start that fails before that, on a full disk say, does not wash it away; the next that gets there does."""
    with pytest.raises(AssertionError), Sitting(tmp_path, never):
        raise AssertionError
    with pytest.raises(HarnessError), Sitting(tmp_path, lambda: True) as full:
        raise HarnessError
    assert not full.ended_in_order
    with Sitting(tmp_path, never) as later:
        assert not later.ended_in_order
        later.settled()
    with Sitting(tmp_path, never) as last:
        assert last.ended_in_order


def test_a_folder_that_is_moved_meanwhile(tmp_path: Path) -> None:
    """The mark goes with it, and is taken away there."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with Sitting(here, never):
        here.rename(there)
    assert not any(there.iterdir())


class FullDisk(Recorder):
    """Once a candidate's trial has started, the ledger takes no row any more."""

    def __init__(self, ledger: Callable[[], Ledger | None]) -> None:
        super().__init__()
        self.ledger = ledger

    def record(self, row: Row) -> None:
        if isinstance(row, TrialStartedRow) and row.role is Role.CANDIDATE:
            book = self.ledger()
            assert book is not None
            book._file.close()  # the next write fails in the system


def sit(made: World, *trackers: Recorder) -> None:
    """As `open_session` does it."""
    with Sitting(made.folder, lambda: made.ledger is not None and made.ledger.failed) as sitting:
        made.ended_in_order = sitting.ended_in_order
        session = made.session(*trackers)
        sitting.settled()
        session.run()


def test_a_disk_that_is_full_again_and_again_is_no_candidates_crash(world: Make) -> None:
    """Four times during the trial of one and the same candidate: it is measured and kept in the end."""
    made, whole = world([BETTER]), world([BETTER])
    whole.session().run()
    for _ in range(4):
        with pytest.raises((OSError, ValueError)):
            sit(made, FullDisk(lambda: made.ledger))
    sit(made)
    rows = chain.read(made.folder)
    ended = [row["reason"] for row in rows if row.get("outcome") == Outcome.INFRA_FAILED]
    assert ended == ["stopped"] * 4
    (decided,) = [row for row in rows if row["kind"] == "decided"]
    (undisturbed,) = [row for row in chain.read(whole.folder) if row["kind"] == "decided"]
    assert (decided["decision"], decided["reason"]) == (undisturbed["decision"], undisturbed["reason"])


def test_a_candidate_that_kills_the_harness_twice_has_crashed(world: Make) -> None:
    """The attack: what dies without a word counts, as it always did."""
    made = world([BETTER])
    for _ in range(2):
        begun: list[int] = []

        class Dies(Recorder):
            def record(self, row: Row) -> None:
                if isinstance(row, TrialStartedRow) and row.role is Role.CANDIDATE:
                    begun.append(row.seq)  # noqa: B023 -- asked for in the same round
                    raise Killed

        with pytest.raises(Killed):
            sit(made, Dies())
        assert begun
    sit(made)
    (decided,) = [row for row in chain.read(made.folder) if row["kind"] == "decided"]
    assert decided["reason"] == "crashed.interrupted_twice"
