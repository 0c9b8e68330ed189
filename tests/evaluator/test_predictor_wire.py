"""Promises of the channel between evaluator and predictor that need no predictor."""

import threading
import time
from contextlib import closing

import pytest

from harness.sandbox import wire
from harness.scoring import connection
from harness.scoring.inference import Allowance
from harness.scoring.limits import PredictorLimits
from harness.scoring.reasons import PredictorFault


def test_last_words_arrive_although_not_everything_was_read() -> None:
    """A side that goes with a question unread resets the channel; what it had said before is not lost."""
    ours, theirs = wire.make_channel()
    for number in range(2):
        wire.send(ours, {"question": number})
    assert wire.receive(theirs) == {"question": 0}
    wire.send(theirs, {"op": "failed"})
    wire.send_bytes(theirs, b"0123")
    theirs.close()
    assert wire.receive(ours, 1.0) == {"op": "failed"}
    content = bytearray(4)
    wire.receive_bytes(ours, memoryview(content), 1.0)
    assert content == b"0123"
    with pytest.raises(wire.ChannelClosed):
        wire.receive(ours, 1.0)


def test_a_reset_without_words_is_the_end() -> None:
    ours, theirs = wire.make_channel()
    wire.send(ours, {"question": 0})
    theirs.close()
    with pytest.raises(wire.ChannelClosed):
        wire.receive(ours, 1.0)


@pytest.mark.parametrize("sleeps", [True, False])
def test_who_sleeps_ends_no_evening(sleeps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CPU time is billed a sleeping predictor uses none; it may keep us waiting ten times what it may work, and a
    minute. One that answers may take its time up to there."""
    monkeypatch.setattr(connection, "IDLE_SECONDS", 2.0)
    allowed = Allowance(load_seconds=0.05, answer_seconds_each=0.01, floor_seconds=0.05, artefact_bytes=1)
    ours, theirs = wire.make_channel()

    def predictor() -> None:
        wire.send(theirs, {"op": "loaded"})
        wire.receive(theirs)
        wire.receive_bytes(theirs, memoryview(bytearray(5)))
        time.sleep(0.2)
        wire.send(theirs, {"op": "items", "bytes": 5})
        wire.send_bytes(theirs, b"[[2]]")

    sizes = {"question_bytes": 100, "answer_bytes": 100}
    asked = connection.Connection(ours, PredictorLimits(), **sizes, shared=False, allowed=allowed)
    with closing(theirs), closing(asked):
        if not sleeps:
            threading.Thread(target=predictor, daemon=True).start()
            assert asked.items([[1]]) == [[2]]
            return
        with pytest.raises(PredictorFault, match=r"predictor\.timeout"):
            asked.items([[1]])
