"""A night with any provider: whatever one does wrong, a proposal ends in time, in order, and with its bill."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fault_acts import before_reading, never_reads
from fault_modes import MODES
from faulty_provider import COUNTS, WIRES, Act, FaultyProvider, Wire

from harness.agents import keys
from harness.agents.api.chat_agent import ChatAgent
from harness.agents.api.claude import Claude
from harness.agents.api.openai import OpenAI
from harness.agents.prices import Prices
from harness.agents.spending import ProposalLimits
from harness.errors import AgentError
from harness.protocols import Agent
from harness.records import Proposal, Usage, View

KEY = "sk-canary-4711-sk-canary"
PRICES = {"small": Prices("2026-11", 3.0, 15.0, 0.3, 3.75, 6.0)}
LIMIT_SECONDS = 4.0
# Long to read for any client: given time, and tried alone, because many at a time share one interpreter.
_LONG = (
    "calls: a thousand calls",
    "calls: arguments five megabytes",
    "calls: arguments a hundred thousand names",
)
_LONG_LIMIT_SECONDS = 120.0
_CASES = [(wire, name) for wire in WIRES for name in MODES]
_SAMPLE = [
    ("messages", "sse: comments for ever"),  # and a byte a second: a proposal hung for ever
    ("chat", "sse: a byte a time"),
    ("messages", "usage: usage null"),
    ("messages", "calls: index out of range"),
    ("messages", "calls: text null"),
    ("chat", "status: 429 retry-after nan"),
    ("responses", "calls: seconds 1e999"),
    ("chat", "calls: line NaN"),
    ("messages", "usage: input negative"),
    ("chat", "usage: more cached than there is"),
    ("responses", "usage: output negative"),
    ("messages", "status: 429 retry-after 3600"),
    *_CASES[::29],
]


@pytest.fixture(autouse=True)
def _own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def agent_for(provider: FaultyProvider, folder: Path | None = None, **more: Any) -> ChatAgent:
    common: dict[str, Any] = {
        "model": "small",
        "prices": PRICES,
        "limits": ProposalLimits(minutes=LIMIT_SECONDS / 60, dollars=5.0, tokens=None),
        "first_pause_seconds": 0.01,
        "attempts": 3,
        "silence_seconds": 1.5,
        **more,
    }
    if provider.wire.name == "messages":
        return Claude(base_url=provider.url, **common)
    return OpenAI(base_url=f"{provider.url}/v1", wire=provider.wire.name, **common)


def told(usage: Usage) -> dict[str, int]:
    return {"input": usage.input_tokens, "cached": usage.cached_input_tokens, "output": usage.output_tokens}


def proposed(agent: Agent, view: View) -> Proposal | AgentError:
    try:
        proposal = agent.propose(view)
    except AgentError as error:
        return error
    assert proposal is not None
    return proposal


def wait_for(is_so: Callable[[], object], seconds: float = 5.0) -> bool:
    """A provider's thread writes down what it told a moment after it was heard."""
    end = time.monotonic() + seconds
    while not (met := bool(is_so())) and time.monotonic() < end:
        time.sleep(0.02)
    return met


def slowness() -> float:
    """Seconds that a fixed piece of work takes on this machine now, in which an idle one takes hundredths."""
    started = time.monotonic()
    sum(range(1_000_000))
    time.sleep(0.01)
    return time.monotonic() - started


def check_mode(wire: str, name: str, make_view: Callable[..., View]) -> None:
    provider = FaultyProvider(Wire(wire), MODES[name])
    limit_seconds = _LONG_LIMIT_SECONDS if name in _LONG else LIMIT_SECONDS
    limits = ProposalLimits(minutes=limit_seconds / 60, dollars=5.0, tokens=None)
    agent = agent_for(provider, limits=limits, silence_seconds=60.0 if name in _LONG else 1.5)
    agent._opened()  # the client's import takes seconds, once
    try:
        started = time.monotonic()
        first = proposed(agent, make_view())
        took = time.monotonic() - started
        words = str(first) if isinstance(first, AgentError) else repr(first)
        assert KEY not in words
        assert took < limit_seconds + 5 + 10 * slowness()
        usage = first.usage if isinstance(first, Proposal) else Usage()
        wait_for(lambda: told(usage) == provider.told or provider.untold)
        assert min(told(usage).values()) >= 0
        assert 0.0 <= usage.dollars < 5.0
        for count, least in told(usage).items():
            assert least >= min(provider.told[count], 0)
        if isinstance(first, Proposal) and not first.problem and provider.requests == 1:
            assert b"BATCH = 16" in first.files["train.py"]
        if not provider.untold:
            assert told(usage) == provider.told
        provider.times = 0  # the night goes on with a provider that has recovered
        before = dict(provider.told)
        patient = {"silence_seconds": 60.0, "limits": ProposalLimits(minutes=5.0, dollars=5.0)}
        again = proposed(agent_for(provider, **patient), make_view())
        assert isinstance(again, Proposal)
        assert again.problem == ""
        assert wait_for(lambda: told(again.usage) == {n: provider.told[n] - before[n] for n in COUNTS})
    finally:
        provider.close()


def failures(names: Iterable[str], check: Callable[[str], None], at_a_time: int = 3) -> str:
    """Lines of those whose check failed; several at a time, because most of a fault is waiting."""
    failed: dict[str, str] = {}

    def tried(name: str) -> None:
        try:
            check(name)
        except BaseException as error:  # noqa: BLE001  # all modes are tried before the first failure is shown
            failed[name] = f"{type(error).__name__}: {error}"[:400]

    with ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(tried, [name for name in names if name not in _LONG]))
    for name in names:
        if name in _LONG:
            tried(name)
    return "\n".join(f"{name}: {words}" for name, words in failed.items())


@pytest.mark.parametrize("wire", WIRES)
def test_a_fault_of_every_kind(wire: str, make_view: Callable[..., View]) -> None:
    """No traceback, no hang, no key in any word; the bill is the provider's; the next proposal is served."""
    names = dict.fromkeys(name for sampled, name in _SAMPLE if sampled == wire)
    assert not failures(names, lambda name: check_mode(wire, name, make_view))


BROKEN_TLS: dict[str, Act] = {
    "closes": lambda line: line.connection.close(),
    "resets": lambda line: line.reset(),
    "speaks none": lambda line: line.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "says nothing": never_reads,
    "begins": lambda line: (line.raw(b"\x16\x03\x03\x40\x00"), time.sleep(30))[0],
    "trickles": lambda line: line.forever(b"\x16", 0.2),
    "alerts": lambda line: line.raw(b"\x15\x03\x03\x00\x02\x02\x28"),
}


def test_a_handshake_that_fails_or_hangs_ends_in_time(make_view: Callable[..., View]) -> None:
    """In one line; the thread that asked has ended as well, though its client would have waited for a minute."""
    assert not failures(BROKEN_TLS, lambda name: check_handshake(name, make_view), at_a_time=len(BROKEN_TLS))
    assert wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "request"])


def check_handshake(name: str, make_view: Callable[..., View]) -> None:
    provider = FaultyProvider(Wire("messages"), before_reading(BROKEN_TLS[name]), times=99)
    limits = ProposalLimits(minutes=LIMIT_SECONDS / 60, dollars=5.0, tokens=None)
    agent = Claude(
        "small", PRICES, limits, provider.url.replace("http", "https"), silence_seconds=60.0, attempts=2
    )
    agent._opened()
    started = time.monotonic()
    failed = proposed(agent, make_view())
    assert isinstance(failed, AgentError) or "limit" in failed.problem
    assert time.monotonic() - started < LIMIT_SECONDS + 5 + 10 * slowness()
    provider.close()


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES)
def test_every_fault(wire: str, make_view: Callable[..., View]) -> None:
    """The same for every mode in every wire format."""
    assert not failures(MODES, lambda name: check_mode(wire, name, make_view), at_a_time=6)
