"""Long things say that they go on."""

import threading

import pytest

from harness.task.waiting import told


def test_it_is_said_at_once_and_again_while_it_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    """A line at the start, and further ones until the end; none of them on stdout."""
    again = threading.Event()
    with told("counting sheep", every_seconds=0.01):
        said = ""
        while said.count("still counting sheep, ") < 2:
            again.wait(0.01)
            said += capfd.readouterr().err
    assert said.startswith("counting sheep ...\n")
    assert capfd.readouterr().out == ""


def test_an_error_inside_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is said to be done."""
    with pytest.raises(KeyError), told("counting"):
        raise KeyError
    assert capfd.readouterr().err == "counting ...\n"
