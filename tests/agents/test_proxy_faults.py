"""The proxy between a program and its provider, under every fault of `fault_modes.py`, without the program: whatever
comes, it ends in time, is passed on without the key, and stands on the bill."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
from fault_modes import MODES
from faulty_provider import COUNTS, FaultyProvider, Wire
from test_faults import LIMIT_SECONDS, PRICES, slowness, told, wait_for

from harness.agents import keys
from harness.agents.command_line.broker import Answer
from harness.agents.command_line.proxy import Proxy, Upstream
from harness.agents.spending import Meter, ProposalLimits, SpendTracker

KEY = "sk-canary-4711-sk-canary"
PATHS = {"messages": ("/v1/messages", "max_tokens"), "responses": ("/v1/responses", "max_output_tokens")}
CASES = [(wire, name, pieces) for wire in PATHS for name in MODES for pieces in (1, None)]


@pytest.fixture(autouse=True)
def _own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_taken", {"KEY": KEY})


def proxy_for(provider: FaultyProvider, minutes: float) -> Proxy:
    path, output_key = PATHS[provider.wire.name]
    upstream = Upstream(provider.url, lambda _: {"x-api-key": KEY}, (path,), (path,), output_key, "small")
    limits = ProposalLimits(minutes=minutes, dollars=50.0, tokens=None)
    return Proxy(upstream, Meter(limits, PRICES["small"], SpendTracker()))


def asked(proxy: Proxy) -> Answer:
    path = proxy.upstream.paths[0]
    return proxy("POST", path, {}, json.dumps({"model": "small", "stream": True, "input": "x"}).encode())


def received(answer: Answer, pieces: int | None) -> bytes:
    """As the sandbox gets it. pieces: after so many the program hangs up."""
    if isinstance(answer.content, bytes):
        return answer.content
    content = b""
    try:
        for piece in islice(answer.content, pieces):
            content += piece
    except ConnectionResetError:  # so that the program sees that something is missing
        pass
    finally:
        answer.content.close()
    return content


def check_mode(wire: str, name: str, pieces: int | None) -> None:
    provider = FaultyProvider(Wire(wire), MODES[name])
    try:
        proxy = proxy_for(provider, LIMIT_SECONDS / 60)
        started = time.monotonic()
        answer = asked(proxy)
        content = received(answer, pieces)
        proxy.settle()
        assert time.monotonic() - started < LIMIT_SECONDS + 5 + 10 * slowness()
        assert not proxy._lock.locked()
        said = repr((answer.status, dict(answer.headers), proxy.hopeless))
        assert KEY not in said
        assert name.endswith("the key") or KEY.encode() not in content
        usage = proxy.meter.usage
        wait_for(lambda: told(usage) == provider.told or provider.untold)
        assert min(told(usage).values()) >= 0
        if provider.untold:
            assert sum(told(usage).values()) >= sum(provider.told.values())
        else:
            assert told(usage) == provider.told
        again, before = proxy_for(provider, 5.0), dict(provider.told)
        provider.times = 0
        assert received(asked(again), None)
        assert wait_for(lambda: told(again.meter.usage) == {n: provider.told[n] - before[n] for n in COUNTS})
    finally:
        provider.close()


@pytest.mark.parametrize(("wire", "name", "pieces"), CASES[::59])
def test_a_fault_of_every_kind_through_the_proxy(wire: str, name: str, pieces: int | None) -> None:
    """Also where the program hangs up after the first piece: what follows is read for its cost."""
    check_mode(wire, name, pieces)


@pytest.mark.slow
@pytest.mark.parametrize("wire", PATHS)
def test_every_fault_through_the_proxy(wire: str) -> None:
    """The same for every mode in both wire formats; many at a time, because most of a fault is waiting."""
    failed: dict[str, str] = {}

    def tried(case: tuple[str, str, int | None]) -> None:
        try:
            check_mode(*case)
        except BaseException as error:  # noqa: BLE001  # all modes are tried before the first failure is shown
            failed[f"{case[1]}, {case[2]}"] = f"{type(error).__name__}: {error}"[:400]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(tried, [case for case in CASES if case[0] == wire]))
    assert not failed, "\n".join(f"{name}: {words}" for name, words in failed.items())
