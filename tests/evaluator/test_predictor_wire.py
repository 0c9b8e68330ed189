"""Promises of the channel between evaluator and predictor that need no predictor."""

import pytest

from harness.sandbox import wire


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
