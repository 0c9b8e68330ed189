"""Money: what replies cost is read from any wire format, and no limit can be passed."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.command_line.proxy import _common_prefix
from harness.agents.prices import UNKNOWN, Prices, listed, plain_name, prices_of
from harness.agents.spending import (
    Exhausted,
    Meter,
    ProposalLimits,
    SpendTracker,
    require_prices,
    total_tokens,
)
from harness.agents.usage import UsageReader
from harness.errors import UserError
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


@pytest.mark.parametrize("kind", sorted(EVENTS))
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("header", [True, False])
def test_usage_is_read_in_every_spelling_of_a_stream(
    kind: str, line_end: str, size: int, header: bool
) -> None:
    """All line ends that events may have, data in two lines, no empty line at the end; whatever the header promises."""
    events, expected, hour = EVENTS[kind]
    texts = [json.dumps(event).replace(", ", f",{line_end}data: ", 1) for event in events]
    stream = (line_end * 2).join(f"data: {text}" for text in texts).encode()
    reader = UsageReader(streamed=header)
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    reader.end()
    assert (reader.spent(10**6), reader.hour_writes, reader.streamed) == (expected, hour, True)


@pytest.mark.parametrize("header", [True, False])
def test_one_object_is_read_whatever_the_header_promises(header: bool) -> None:
    """A gateway that was asked for a stream and knows none."""
    reader = UsageReader(streamed=header)
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    reader.feed(json.dumps({"choices": [{"finish_reason": "stop"}], "usage": usage}, indent=1).encode())
    reader.end()
    assert (reader.spent(10**6), reader.streamed) == (Usage(12, 8, 0, 3, 1), False)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}, Usage(5, 0, 0, 9, 1)),
        ({"input_tokens": 5, "output_tokens": 1}, {"output_tokens": -9}, Usage(5, 0, 0, 23, 1)),
        ({"input_tokens": 5, "output_tokens": 1}, {}, Usage(5, 0, 0, 23, 1)),
        ({"input_tokens": -5, "output_tokens": 1}, {"output_tokens": 9}, Usage(100, 0, 0, 9, 1)),
        ({"cache_read_input_tokens": 30}, {"output_tokens": 9}, Usage(70, 30, 0, 9, 1)),
        ({"input_tokens": 5}, {"output_tokens": 30, "novelty": [1]}, Usage(5, 0, 0, 30, 1)),
    ],
)
def test_what_was_not_told_or_is_no_count_is_estimated(
    first: dict[str, int], last: dict[str, int], expected: Usage
) -> None:
    """Not too low: of 300 bytes sent a hundred tokens, of 68 that came 23; what a reply begins with is no count of
    its end."""
    delta = {"type": "content_block_delta", "delta": {"text": "x" * 60}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}
    reader = UsageReader(streamed=True)
    for event in (
        {"type": "message_start", "message": {"usage": first}},
        delta,
        end,
        {"type": "message_stop"},
    ):
        reader.feed(f"data: {json.dumps(event)}\n\n".encode())
    assert reader.spent(300, 1000) == expected


def test_counts_that_grow_with_every_piece_are_final_at_the_end_only() -> None:
    """Chat completions that count in every chunk: a reply that is cut costs what has streamed."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    chunk = {"choices": [{"delta": {"content": "x" * 300}, "finish_reason": None}], "usage": usage}
    reader = UsageReader(streamed=True)
    reader.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    assert reader.spent(10).output_tokens == 100
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {**usage, "completion_tokens": 7}}
    reader.feed(f"data: {json.dumps(last)}\n\n".encode())
    assert reader.spent(10).output_tokens == 7


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


def test_requests_can_be_limited() -> None:
    """For those who do not pay by the token; what is asked is checked before it is sent."""
    meter = Meter(ProposalLimits(requests=2), PRICES, SpendTracker())
    for _ in range(2):
        meter.affordable_output(100)
        meter.add(Usage(input_tokens=10, requests=1))
    with pytest.raises(Exhausted, match="2 requests per proposal"):
        meter.affordable_output(100)
    with pytest.raises(ValueError, match="at least 1 or null"):
        ProposalLimits(requests=0)


def test_prices_come_from_the_config_then_from_the_bundled_list() -> None:
    """With source and date; a cloud's name of a model is its maker's; Opus 5.5 reads its cache for a twentieth."""
    assert prices_of({"claude-opus-5-5": PRICES}, "claude-opus-5-5") is PRICES
    found = prices_of({}, "claude-opus-5-5")
    assert (found.input, found.output, found.cached_input) == (4.0, 20.0, 0.2)
    assert found.source.startswith("genai-prices ")
    assert found.date > "2026"
    assert plain_name("us.anthropic.claude-opus-5-5-v1:0") == "claude-opus-5-5"
    assert listed("claude-opus-5-5@20260922", "anthropic") == found


def test_a_long_request_costs_more_where_the_list_says_so() -> None:
    """The whole request at the higher price, in the bill and in the worst case before it is sent."""
    haiku = prices_of({}, "claude-haiku-5-5")
    assert haiku.dollars(Usage(input_tokens=100_000)) == pytest.approx(0.01)
    assert haiku.dollars(Usage(input_tokens=100_001)) == pytest.approx(0.05, rel=1e-3)
    meter = Meter(ProposalLimits(dollars=0.2, tokens=None), haiku, SpendTracker())
    meter.affordable_output(90_000)
    with pytest.raises(Exhausted):
        meter.affordable_output(200_000)


def test_a_model_without_prices_is_refused_only_where_dollars_are_limited() -> None:
    """Nobody could say what a night costs; where nobody asks, tokens are counted."""
    unknown = prices_of({"small": PRICES}, "x")
    assert unknown is UNKNOWN
    require_prices(unknown, "x", None, "agent.limits.dollars")
    with pytest.raises(UserError, match="no prices for model 'x'"):
        require_prices(unknown, "x", 2.0, "agent.limits.dollars")


@given(
    kind=st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens", "prompt_tokens"]),
    bad=st.one_of(
        st.integers(max_value=-1),
        st.integers(min_value=10**7 + 1),
        st.floats(),
        st.text(max_size=3),
        st.booleans(),
        st.lists(st.integers(), max_size=1),
        st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
    ),
)
def test_no_usage_lowers_the_sum(kind: str, bad: Any) -> None:
    """A count that is none is not booked as said, and never as less than nothing or as more than a request can have."""
    reader = UsageReader(streamed=True)
    usage = {"output_tokens": 2, kind: bad}
    reader.feed(
        b"data: " + json.dumps({"type": "message_start", "message": {"usage": usage}}).encode() + b"\n\n"
    )
    spent = reader.spent(30)
    assert 0 <= spent.input_tokens <= 10**7
    assert 0 <= spent.cached_input_tokens <= 10**7
    assert 0 <= spent.output_tokens <= 10**7


@given(cached=st.integers(0, 10**6), total=st.integers(0, 10**6))
def test_cached_tokens_are_never_more_than_all(cached: int, total: int) -> None:
    """Chat completions and Responses count them among the input."""
    reader = UsageReader(streamed=False)
    usage = {
        "prompt_tokens": total,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    reader.feed(json.dumps({"usage": usage}).encode())
    reader.end()
    assert reader.usage is not None
    assert reader.usage.input_tokens + reader.usage.cached_input_tokens == total


@given(one=st.binary(max_size=40), other=st.binary(max_size=40), same=st.binary(max_size=40))
def test_common_prefix(one: bytes, other: bytes, same: bytes) -> None:
    """By bisection, and the longest."""
    found = _common_prefix(same + one, same + other)
    assert (same + one)[:found] == (same + other)[:found]
    assert found == min(len(same + one), len(same + other)) or (same + one)[found] != (same + other)[found]
