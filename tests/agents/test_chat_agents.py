"""Agents that talk to an API, against a server that speaks the real wire formats: what they say, what they do
when it fails, and what it cost to the token."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn

from harness.agents import keys
from harness.agents.api.chat_agent import ChatAgent
from harness.agents.api.claude import Claude
from harness.agents.api.openai import OpenAI, _Message
from harness.agents.prices import Prices
from harness.agents.spending import ProposalLimits
from harness.errors import AgentError, UserError
from harness.records import Usage, View, added

MakeView = Callable[..., View]
Decide = Callable[..., View]
MakeProvider = Callable[[Script], FakeProvider]
PRICES = {
    "small": Prices(
        "2026-06", input=3.0, output=15.0, cached_input=0.3, cache_write=3.75, cache_write_hour=6.0
    )
}
EDIT = ("edit_file", {"path": "train.py", "old": "BATCH = 32", "new": "BATCH = 16"})
SUBMIT = ("submit", {"rationale": "smaller batches", "hypothesis": "more steps, lower loss"})
KINDS = ["claude", "openai", "responses"]


@pytest.fixture(autouse=True)
def _own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary-4711")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-oai-canary-4711")


def agent_for(kind: str, provider: FakeProvider, memory_tokens: int = 6000, **limits: Any) -> ChatAgent:
    common: dict[str, Any] = {
        "model": "small",
        "prices": PRICES,
        "limits": ProposalLimits(**limits),
        "first_pause_seconds": 0.01,
        "attempts": 4,
        "memory_tokens": memory_tokens,
    }
    if kind == "claude":
        return Claude(base_url=provider.url, **common)
    return OpenAI(base_url=f"{provider.url}/v1", wire="chat" if kind == "openai" else kind, **common)


def in_turn(*turns: Turn | Fault) -> Script:
    return lambda number, _: turns[number] if number < len(turns) else Turn("over", [SUBMIT])


def assert_counted(provider: FakeProvider, usage: Usage) -> None:
    """What we wrote down is what the server told, token by token."""
    assert usage.input_tokens == provider.total("input_tokens")
    assert usage.cached_input_tokens == provider.total("cache_read_input_tokens")
    assert usage.cache_write_tokens == provider.total("cache_creation_input_tokens")
    assert usage.output_tokens == provider.total("output_tokens")


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_five_proposals_with_faults(
    kind: str, make_provider: MakeProvider, make_view: MakeView, decide: Decide
) -> None:
    """Every fault is survived and counted; the edits arrive; the bill is right to the token."""
    busy = Fault(429, {"retry-after": "0.02"})
    provider = make_provider(
        in_turn(
            busy,
            Turn("I look first", [("read_file", {"path": "train.py"}), EDIT]),
            Turn("", [SUBMIT]),  # 1
            Fault(500),
            Fault(529),
            Turn("", [("edit_file", {"path": "train.py", "old": "nowhere", "new": "x"})]),
            Turn("", [("edit_file", {"path": "prepare.py", "old": "pass", "new": "return"})]),
            Turn("", [("write_file", {"path": "train.py", "content": "LEARNING_RATE = ("})]),
            Turn("", [SUBMIT]),  # refused: a syntax error
            # 2
            Turn("", [("write_file", {"path": "train.py", "content": "LEARNING_RATE = 0.02\n"}), SUBMIT]),
            Turn("", [SUBMIT]),  # empty
            Turn("I am done, the program is optimal."),
            Turn(
                "",
                [("no_such_tool", {}), ("read_file", {"file": "train.py"}), ("show_proposal", {"number": 1})],
            ),
            Turn("", [EDIT, SUBMIT]),  # 3
            Turn("", stop="refusal" if kind == "claude" else "content_filter"),  # 4
            Turn("I am done."),
            Turn("Really done."),  # 5
        )
    )
    agent, view, total, proposals = agent_for(kind, provider), make_view(), Usage(), []
    for _ in range(5):
        proposal = agent.propose(view)
        proposals.append(proposal)
        total = added(total, proposal.usage)
        view = decide(view, proposal, 1.4)
    first, second, third, fourth, fifth = proposals
    assert b"BATCH = 16" in first.files["train.py"]
    assert (first.rationale, first.hypothesis) == ("smaller batches", "more steps, lower loss")
    assert first.state["faults"] == {"rate_limit": 1}
    assert second.files == {"train.py": b"LEARNING_RATE = 0.02\n"}
    assert second.state["faults"] == {
        "server": 2,
        "edit_does_not_apply": 1,
        "not_editable": 1,
        "syntax_error": 1,
    }
    assert third.state["faults"] == {"empty": 1, "no_tool_call": 1, "unknown_tool": 1, "malformed_call": 1}
    assert [p.problem for p in proposals[:3]] == ["", "", ""]
    assert (fourth.problem, fourth.state["faults"]) == ("the model refused", {"refusal": 1})
    assert fifth.problem == "the model stopped without a submission"
    assert_counted(provider, total)
    assert total.dollars == pytest.approx(expected_dollars(provider), rel=1e-9)
    assert b"sk-" not in b"".join(seen.raw for seen in provider.seen)


def expected_dollars(provider: FakeProvider) -> float:
    price = PRICES["small"]
    total = 0.0
    for seen in provider.seen:
        usage = seen.usage or {}
        hour = usage.get("hour", 0)
        total += usage.get("input_tokens", 0) * price.input + usage.get("output_tokens", 0) * price.output
        total += usage.get("cache_read_input_tokens", 0) * price.cached_input + hour * price.cache_write_hour
        total += (usage.get("cache_creation_input_tokens", 0) - hour) * price.cache_write
    return total / 1e6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut_after", [0, 1, 3])
def test_a_cut_stream_is_asked_again(
    kind: str, cut_after: int, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """Half a reply is never acted upon; what it had cost is not forgotten."""
    provider = make_provider(
        in_turn(Turn("half of it", [EDIT], cut_after=cut_after), Turn("", [EDIT, SUBMIT]))
    )
    proposal = agent_for(kind, provider).propose(make_view())
    assert proposal.problem == ""
    assert b"BATCH = 16" in proposal.files["train.py"]
    faults = proposal.state["faults"]
    assert isinstance(faults, dict)
    assert sum(faults.values()) == 1  # type: ignore[arg-type]  # numbers
    if kind == "claude":  # what had streamed is counted, where the provider had no time to count it
        assert proposal.usage.input_tokens == provider.total("input_tokens")
        assert proposal.usage.output_tokens >= provider.total("output_tokens")
    else:  # its usage comes last, so a cut reply is estimated, and never too low
        assert proposal.usage.input_tokens >= provider.total("input_tokens")


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_input_of_a_tool(kind: str, make_provider: MakeProvider, make_view: MakeView) -> None:
    """JSON that is none does no harm: the model is told, or asked again."""
    broken = Turn("", [("edit_file", '{"path": "train.py", "old": "BA')])
    proposal = agent_for(kind, make_provider(in_turn(broken, Turn("", [EDIT, SUBMIT])))).propose(make_view())
    assert proposal.problem == ""
    assert b"BATCH = 16" in proposal.files["train.py"]
    faults = proposal.state["faults"]
    assert isinstance(faults, dict)
    assert sum(faults.values()) == 1  # type: ignore[arg-type]  # numbers


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_that_is_down_or_refuses_ends_the_session_in_order(
    kind: str, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """AgentError in one line, without the key, after the attempts that the config allows, or at once."""
    view = make_view()
    down = make_provider(lambda *_: Fault(503))
    with pytest.raises(AgentError, match="503"):
        agent_for(kind, down).propose(view)
    assert len(down.seen) == 4
    error = {"type": "authentication_error", "message": "wrong key sk-ant-canary-4711 sk-oai-canary-4711"}
    refusing = make_provider(lambda *_: Fault(401, body={"type": "error", "error": error}))
    with pytest.raises(AgentError) as caught:
        agent_for(kind, refusing).propose(view)
    assert len(refusing.seen) == 1
    key = "sk-ant-canary-4711" if kind == "claude" else "sk-oai-canary-4711"
    assert key not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_spent_before_a_failure_is_reported(
    kind: str, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """The proposal comes back with a problem and its bill; the next one raises."""
    provider = make_provider(lambda number, _: Turn("", [EDIT]) if number == 0 else Fault(401))
    agent = agent_for(kind, provider)
    proposal = agent.propose(make_view())
    assert "the provider failed" in proposal.problem
    assert_counted(provider, proposal.usage)
    with pytest.raises(AgentError):
        agent.propose(make_view())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "limits", [{"dollars": 0.1}, {"tokens": 20_000}, {"turns": 3}, {"repairs": 2}, {"context_tokens": 3000}]
)
def test_a_limit_of_a_proposal_is_not_passed(
    kind: str, limits: dict[str, float], make_provider: MakeProvider, make_view: MakeView
) -> None:
    """A model that never submits and asks for more and more is stopped before the limit."""
    bad = ("edit_file", {"path": "train.py", "old": "nowhere", "new": "x"})
    provider = make_provider(lambda *_: Turn("let me see", [("read_file", {"path": "train.py"}), bad]))
    patient = {"turns": 1000, "repairs": 10_000, "output_tokens": 2000}
    proposal = agent_for(kind, provider, **{**patient, **limits}).propose(make_view())
    assert proposal.problem
    assert proposal.usage.requests >= 1
    assert proposal.usage.dollars <= limits.get("dollars", 1e9)
    used = proposal.usage
    assert used.input_tokens + used.cached_input_tokens + used.output_tokens <= limits.get("tokens", 1e9)
    assert proposal.usage.requests <= limits.get("turns", 1e9)
    assert_counted(provider, proposal.usage)


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_no_price_no_start(
    kind: str, make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key is said by the constructor, a missing price once the key was tried; each in one line."""
    provider = make_provider(in_turn(Turn("yes")))
    address = provider.url if kind == "claude" else f"{provider.url}/v1"
    kind_of_agent = type(agent_for(kind, provider))
    variable = "ANTHROPIC_API_KEY" if kind == "claude" else "OPENAI_API_KEY"
    with monkeypatch.context() as without:
        without.setenv(variable, " ")
        with pytest.raises(UserError, match=variable):
            agent_for(kind, provider)
    with pytest.raises(UserError, match="no prices for model 'big'"):
        kind_of_agent(model="big", prices=PRICES, base_url=address).check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_leaves_the_environment_and_shows_nowhere(
    kind: str, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """After the first request no child process can inherit it; it is in no repr and in no proposal."""
    import os

    provider = make_provider(in_turn(Turn("", [EDIT, SUBMIT])))
    agent = agent_for(kind, provider)
    proposal = agent.propose(make_view())
    variable, key = {
        "claude": ("ANTHROPIC_API_KEY", "sk-ant-canary-4711"),
        "openai": ("OPENAI_API_KEY", "sk-oai-canary-4711"),
        "responses": ("OPENAI_API_KEY", "sk-oai-canary-4711"),
    }[kind]
    assert variable not in os.environ
    assert any(value.endswith(key) for value in provider.seen[0].headers.values())
    assert key not in repr(vars(agent)) + repr(agent) + repr(proposal) + repr(vars(vars(agent)["_model"]))


def test_the_stable_prefix_is_cached(
    make_provider: MakeProvider, make_view: MakeView, decide: Decide
) -> None:
    """From the second request on the system part is read from the cache, in the next proposal too; the marks that
    live longer come first, as the API demands."""
    provider = make_provider(lambda n, _: Turn("", [EDIT]) if n % 2 == 0 else Turn("", [SUBMIT]))
    agent, view = agent_for("claude", provider), make_view()
    for _ in range(3):
        view = decide(view, agent.propose(view), 1.4)
    reads = [(seen.usage or {})["cache_read_input_tokens"] for seen in provider.seen]
    assert reads[0] == 0
    assert min(reads[1:]) > 500
    for seen in provider.seen:
        lives = [mark.get("ttl", "5m") for mark in _marks([seen.body["system"], seen.body["messages"]])]
        assert lives == sorted(lives)  # "1h" before "5m"


def _marks(body: Any) -> list[dict[str, str]]:
    found = []
    for value in body.values() if isinstance(body, dict) else body if isinstance(body, list) else []:
        found += _marks(value)
    if isinstance(body, dict) and "cache_control" in body:
        found = [*[mark for mark in found if mark is not body["cache_control"]], body["cache_control"]]
    return found


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_a_hundred_proposals(
    kind: str, make_provider: MakeProvider, make_view: MakeView, decide: Decide
) -> None:
    """Context stays under its cap, the bill is the server's to the token, the cache's share is reported."""

    def script(number: int, body: Any) -> Turn:
        if number % 2 == 0:
            old = "LEARNING_RATE" if b"LEARNING_RATE" in json.dumps(body).encode() else "BATCH"
            return Turn(
                "thinking " * 30, [("write_file", {"path": "train.py", "content": f"{old} = {number + 1}\n"})]
            )
        return Turn(
            "", [("submit", {"rationale": f"idea {number} " + "with long words " * 40, "hypothesis": "down"})]
        )

    provider = make_provider(script)
    cap = 12_000
    agent = agent_for(kind, provider, memory_tokens=2000, context_tokens=cap)
    view, total = make_view(), Usage()
    log = "Traceback: \x1b[31m" + "x" * 3000
    largest = 0
    for number in range(100):
        proposal = agent.propose(view)
        assert proposal.problem == ""
        total = added(total, proposal.usage)
        assert isinstance(proposal.state["largest_context_tokens"], int)
        largest = max(largest, proposal.state["largest_context_tokens"])
        view = decide(
            view,
            proposal,
            1.5 - number / 1000,
            keep=number % 10 == 5,
            log=log,
            category=f"class {number % 7}",
        )
    assert_counted(provider, total)
    assert total.dollars == pytest.approx(expected_dollars(provider), rel=1e-9)
    contexts = [
        sum(
            (s.usage or {}).get(k, 0)
            for k in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        )
        for s in provider.seen
    ]
    assert max(contexts) == largest <= cap
    # the memory is full after some forty proposals; from then on the context no longer grows
    assert max(contexts[100:]) < 1.15 * max(contexts[80:100])
    assert isinstance(proposal.state["cache_hit_share"], float)
    assert proposal.state["cache_hit_share"] > (0.3 if kind == "claude" else 0.0)
    assert all(len(json.dumps(seen.body)) < 4 * cap * 1.5 for seen in provider.seen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_night_with_a_provider_that_fails_one_request_in_five(
    kind: str, make_provider: MakeProvider, make_view: MakeView, decide: Decide
) -> None:
    """A hundred proposals are finished, the accounts are equal to the token, and memory does not grow."""
    import psutil

    faults = [Fault(429, {"retry-after": "0"}), Fault(500), Fault(529), Fault(503, body={})]
    good = 0

    def script(number: int, _: Any) -> Turn | Fault:
        nonlocal good
        if number % 5 == 4:
            return faults[number // 5 % len(faults)]
        good += 1
        if good % 2:
            return Turn(
                "thinking " * 30, [("write_file", {"path": "train.py", "content": f"LR = {number}\n"})]
            )
        return Turn("", [("submit", {"rationale": f"idea {number}", "hypothesis": "down"})])

    provider = make_provider(script)
    agent, view, total, resident = agent_for(kind, provider), make_view(), Usage(), []
    failed = 0
    for number in range(100):
        proposal = agent.propose(view)
        assert proposal.problem == ""
        total = added(total, proposal.usage)
        counted = proposal.state["faults"]
        assert isinstance(counted, dict)
        failed += sum(counted.values())  # type: ignore[arg-type]  # numbers
        view = decide(view, proposal, 1.5 - number / 1000, keep=number % 10 == 5)
        resident.append(psutil.Process().memory_info().rss)
    assert_counted(provider, total)
    assert total.dollars == pytest.approx(expected_dollars(provider), rel=1e-9)
    assert failed == len(provider.seen) // 5
    assert resident[99] < resident[30] + (40 << 20)  # the server keeps every request; the agent nothing


def test_calls_that_share_an_index_are_told_apart() -> None:
    """Some servers number every call of a reply 0, or not at all: a name with an id of its own begins another. Twin:
    one call in pieces, its id repeated, stays one."""

    def chunk(**call: Any) -> dict[str, Any]:
        function = {name: call.pop(name) for name in ("name", "arguments") if name in call}
        return {"choices": [{"delta": {"tool_calls": [{**call, "function": function}]}}]}

    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    whole = [chunk(index=0, id="a", name="read_file", arguments="{}"), chunk(index=0, id="b", name="submit")]
    pieces = [
        chunk(index=0, id="a", name="submit", arguments='{"x"'),
        chunk(index=0, id="a", arguments=": 1}"),
    ]
    for chunks, expected in ((whole, [("a", "read_file"), ("b", "submit")]), (pieces, [("a", "submit")])):
        message = _Message()
        for said in (*chunks, end):
            message.add(said)
        assert [(call.number, call.name) for call in message.reply().calls] == expected
    assert message.reply().calls[0].input == {"x": 1}
