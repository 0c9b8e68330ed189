"""Measurements that are asked for outside a session: noise of the baseline, ablation of a finished stack."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.commands.ablation import ablated
from harness.commands.noise import measure
from harness.errors import UserError
from harness.records import Role
from tests.session.conftest import World

Make = Callable[..., World]
STACK = ("loss = 0.8\n# a larger model", "loss = 0.5\n# larger still")


def test_noise_goes_on_with_the_trials_of_an_earlier_call(world: Make) -> None:
    """Four trials, then two more for six; they are the baseline's, on fresh seeds, and no keep rule sees them."""
    made = world([])
    session = made.session()
    losses, rates = measure(session, 4)
    assert (len(losses), rates) == (4, [100.0] * 4)
    more, _ = measure(session, 6)
    assert more[:4] == losses
    assert len({spec.seed for spec in made.machine.runs}) == len(made.machine.runs) == 6
    assert session.trial_runner.state.losses(session.trial_runner.state.baseline) == []


def test_ablation_says_what_matters_and_what_cannot_be_told(world: Make) -> None:
    """The last keep is taken back and felt; the one that it builds on cannot be taken back alone."""
    made = world(STACK)
    session = made.session()
    session.run()
    before = len(made.machine.runs)
    bench = SimpleNamespace(trial_runner=session.trial_runner, workspace=session.workspace)
    first, second = ablated(bench, made.folder, runs=2)
    assert (first.status, second.status) == ("entangled", "matters")
    assert second.effect == pytest.approx(0.3, abs=0.02)
    made_now = made.machine.runs[before:]
    assert [spec.role for spec in made_now] == [Role.ABLATION] * 6
    assert ablated(bench, made.folder, runs=2) == [first, second]
    assert len(made.machine.runs) == before + 6, "an interrupted ablation is gone on with, not repeated"


def test_nothing_kept_is_nothing_to_take_back(world: Make) -> None:
    session = world(["loss = 2.0"]).session()
    session.run()
    bench = SimpleNamespace(trial_runner=session.trial_runner, workspace=session.workspace)
    with pytest.raises(UserError, match="kept nothing"):
        ablated(bench, session.trial_runner.folder, runs=2)
