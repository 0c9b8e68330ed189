"""A login that does not work costs nobody twenty minutes, and a night that failed does not end with status 0."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn
from faulty_provider import FaultyProvider, Wire

from harness.agents.trying import TinyRequest, tried
from harness.errors import UserError

MakeProvider = Callable[[Script], FakeProvider]
PRICE = "{date: '2026-11', input: 3.0, output: 15.0, cached_input: 0.3}"
KEY = "sk-ant-canary-4711"


def started(provider: FakeProvider, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["task=digits", "budget=smoke", "budget.seconds=1.5", "budget.certificate=0", "keep=greedy"]
    arguments += ["session.tag=one", f"session.folder={folder}", "agent=claude", "agent.model=small"]
    arguments += [f"agent.base_url={provider.url}", f"+agent.prices.small={PRICE}", *more]
    environment = {**os.environ, "ANTHROPIC_API_KEY": KEY}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def test_a_bad_key_is_one_line_before_anything_else(make_provider: MakeProvider, tmp_path: Path) -> None:
    """Exit code 2, the provider's words without the key, no folder of a session, no baseline."""
    error = {
        "type": "error",
        "error": {"type": "authentication_error", "message": f"invalid x-api-key {KEY}"},
    }
    provider = make_provider(lambda *_: Fault(401, body=error))
    done = started(provider, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "invalid x-api-key" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "one").exists()
    assert len(provider.seen) == 1


SOON = """
import sys
from harness.agents.api.claude import Claude
from harness.agents.api.openai import OpenAI
from harness.errors import UserError
for agent in (Claude("small", base_url=sys.argv[1]), OpenAI("small", base_url=sys.argv[1] + "/v1")):
    try:
        agent.check()
    except UserError as error:
        print(error)
print([name for name in ("anthropic", "openai", "genai_prices") if name in sys.modules])
"""


def test_a_key_is_tried_before_anything_slow_is_imported(make_provider: MakeProvider) -> None:
    """A provider's own client takes seconds to import, a list of prices one: a bad key is told before that."""
    provider = make_provider(lambda *_: Fault(401))
    environment = {**os.environ, "ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
    command = [sys.executable, "-c", SOON, provider.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == ["small cannot be used: 401: no"] * 2 + ["[]"]
    assert [seen.path for seen in provider.seen] == ["/v1/messages", "/v1/chat/completions"]
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in provider.seen)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 X\r\ncontent-type: text/html; charset=rot13\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 401 X\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 X\r\nlocation: http://[::1\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
    ],
)
def test_a_trial_of_a_key_survives_every_answer(answer: bytes) -> None:
    """One line, whatever comes back."""
    provider = FaultyProvider(Wire("messages"), lambda line: line.raw(answer), times=9)
    request = TinyRequest("small", f"{provider.url}/v1/messages", lambda _: {}, {"model": "small"})
    with pytest.raises(UserError) as refused:
        tried(request)
    provider.close()
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "http://", "http://[::1", "http://a b/", "http://127.0.0.1:99999/", "x"]
)
@pytest.mark.parametrize("key", ["sk-canary-4711", "sk-\u2026-canary", "sk-canary\n4711"])
def test_an_address_or_a_key_that_is_none_is_one_line(address: str, key: str) -> None:
    """Pasted with an ellipsis, with a line end, without a scheme."""
    headers = {"authorization": f"Bearer {key}"}
    with pytest.raises(UserError) as refused:
        tried(TinyRequest("small", address, lambda _: headers, {"model": "small"}))
    assert len(str(refused.value).splitlines()) == 1
    assert "canary" not in str(refused.value)


@pytest.mark.slow
def test_a_session_that_its_agent_ended_says_so_with_its_status(
    make_provider: MakeProvider, tmp_path: Path
) -> None:
    """Exit code 1; what the trial of the key cost stands in the ledger, though no proposal came of it."""
    provider = make_provider(lambda number, _: Turn("yes") if number == 0 else Fault(401))
    done = started(provider, tmp_path, "agent.ahead=0")
    assert done.returncode == 1, done.stderr
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "one" / "ledger.jsonl").read_text().splitlines()
    ]
    assert next(row for row in rows if row["kind"] == "session_ended")["cause"] == "agent_failed"
    spent = next(row for row in rows if row["kind"] == "agent_spent")
    assert spent["usage"]["output_tokens"] == provider.total("output_tokens") > 0
