"""Money: what replies cost is read from any wire format, and no limit can be passed."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.command_line.proxy import _common_prefix
from harness.agents.command_line.usage import UsageReader
from harness.agents.spending import (
    Exhausted,
    Meter,
    Prices,
    ProposalLimits,
    SpendTracker,
    prices_of,
    total_tokens,
)
from harness.records import Usage

PRICES = Prices("2026-06", input=3.0, output=15.0, cached_input=0.3, cache_write=3.75, cache_write_hour=6.0)
CREATED = {"ephemeral_1h_input_tokens": 7, "ephemeral_5m_input_tokens": 4}
MESSAGES = {
    "input_tokens": 5,
    "cache_read_input_tokens": 9,
    "cache_creation_input_tokens": 11,
    "cache_creation": CREATED,
}
EVENTS: dict[str, tuple[list[Any], Usage, int]] = {
    "messages": (
        [
            {"type": "message_start", "message": {"usage": {**MESSAGES, "output_tokens": 1}}},
            {"type": "content_block_delta", "delta": {"text": 'a "usage": {"input_tokens": 1000000}'}},
            {"type": "message_delta", "usage": {"output_tokens": 13}},
            {"type": "message_stop"},
        ],
        Usage(5, 9, 11, 13, 1),
        7,
    ),
    "responses": (
        [
            {"type": "response.created", "response": {"usage": None}},
            {
                "type": "response.completed",
                "response": {
                    "usage": {
                        "input_tokens": 20,
                        "input_tokens_details": {"cached_tokens": 8},
                        "output_tokens": 3,
                    }
                },
            },
        ],
        Usage(12, 8, 0, 3, 1),
        0,
    ),
    "completions": (
        [
            {"choices": [{"delta": {"content": "x"}}]},
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 20,
                    "completion_tokens": 3,
                    "prompt_tokens_details": {"cached_tokens": 8},
                },
            },
        ],
        Usage(12, 8, 0, 3, 1),
        0,
    ),
}


@given(kind=st.sampled_from(sorted(EVENTS)), cuts=st.lists(st.integers(0, 700), max_size=8))
def test_usage_is_read_however_the_bytes_arrive(kind: str, cuts: list[int]) -> None:
    """Pieces may end anywhere; what the model writes is never taken for the provider's count."""
    events, expected, hour = EVENTS[kind]
    stream = b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)
    reader = UsageReader(streamed=True)
    places = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(places):
        reader.feed(stream[start:end])
    assert (reader.usage, reader.hour_writes) == (expected, hour)


def test_usage_of_a_reply_in_one_piece() -> None:
    """A JSON body, as clients get it that do not stream."""
    reader = UsageReader(streamed=False)
    reader.feed(json.dumps({"type": "message", "usage": {**MESSAGES, "output_tokens": 13}}).encode())
    reader.end()
    assert reader.usage == Usage(5, 9, 11, 13, 1)


@given(content=st.binary(max_size=200), streamed=st.booleans())
def test_any_bytes_are_survived(content: bytes, streamed: bool) -> None:
    """A broken provider costs nothing and breaks nothing."""
    reader = UsageReader(streamed)
    reader.feed(content)
    reader.end()


@given(
    dollars=st.floats(0.001, 2.0),
    tokens=st.integers(1000, 200_000),
    session=st.floats(0.001, 2.0),
    requests=st.lists(st.tuples(st.integers(0, 50_000), st.floats(0, 1), st.floats(0, 1)), max_size=30),
)
def test_no_limit_is_passed_by_any_provider_that_counts_fairly(
    dollars: float, tokens: int, session: float, requests: list[tuple[int, float, float]]
) -> None:
    """Whatever is sent and answered, as long as a token has a byte and a reply is no longer than allowed."""
    spending = SpendTracker(dollars=session)
    meter = Meter(ProposalLimits(dollars=dollars, tokens=tokens, output_tokens=4000), PRICES, spending)
    for new_bytes, share_in, share_out in requests:
        try:
            most = meter.affordable_output(new_bytes)
        except Exhausted:
            continue
        total = int((meter.context + new_bytes) * share_in)
        meter.add(Usage(0, 0, total, int(most * share_out), 1), hour_writes=total)
        assert meter.usage.dollars <= dollars + 1e-9
        assert total_tokens(meter.usage) <= tokens
        assert spending.spent.dollars <= session + 1e-9


def test_a_model_without_prices_is_refused() -> None:
    """Nobody could say what a night costs."""
    with pytest.raises(ValueError, match="no prices for model 'x' \\(known: small\\)"):
        prices_of({"small": PRICES}, "x")


@given(one=st.binary(max_size=40), other=st.binary(max_size=40), same=st.binary(max_size=40))
def test_common_prefix(one: bytes, other: bytes, same: bytes) -> None:
    """By bisection, and the longest."""
    found = _common_prefix(same + one, same + other)
    assert (same + one)[:found] == (same + other)[:found]
    assert found == min(len(same + one), len(same + other)) or (same + one)[found] != (same + other)[found]
