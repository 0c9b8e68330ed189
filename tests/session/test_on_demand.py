"""Measurements that are asked for outside a session: noise of the baseline."""

from collections.abc import Callable

from harness.commands.noise import measure
from tests.session.conftest import World

Make = Callable[..., World]


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
