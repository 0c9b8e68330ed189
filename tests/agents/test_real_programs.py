"""The real Claude Code and Codex against the loopback server: `make test-agents`, where npm has them.

AGENT_PROGRAMS names the folder with `claude` and `codex` (e.g. node_modules/.bin); default: the path. All modes of
misbehaviour take an hour; AGENT_MODES_EVERY=10 tries every tenth, AGENT_MODES names those to be tried (a regular
expression), AGENT_MODES_LOG a file that gets a line of JSON for each.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn
from fault_modes import MODES
from faulty_provider import COUNTS, Event, FaultyProvider, Wire
from test_faults import proposed, slowness, told, wait_for

from harness.agents import keys
from harness.agents.command_line import agent as cli
from harness.agents.command_line.agent import CommandLineAgent
from harness.agents.command_line.claude_code import ClaudeCode
from harness.agents.command_line.codex import Codex
from harness.agents.context import AgentContext
from harness.agents.prices import Prices
from harness.agents.spending import ProposalLimits
from harness.errors import AgentError
from harness.records import Proposal, Usage, View, added
from harness.sandbox.open import open_sandbox
from harness.task.task import Profile, TaskData

PRICES = {"small": Prices("2026-06", 3.0, 15.0, 0.3, 3.75, 6.0)}
EDIT = "sed -i 's/BATCH = {}/BATCH = {}/' train.py; printf 'batches {}\\nHypothesis: lower\\n' > PROPOSAL.md"
LOOK = "env; cat /proc/*/environ; smoke_test 2"
KINDS = {"claude_code": (ClaudeCode, "claude"), "codex": (Codex, "codex")}


def program_of(kind: str) -> str:
    name = KINDS[kind][1]
    program = shutil.which(name, path=os.environ.get("AGENT_PROGRAMS"))
    if program is None:
        pytest.skip(f"there is no {name}")
    return program


def opened(agent: CommandLineAgent, folder: Path) -> CommandLineAgent:
    task: Any = SimpleNamespace(program_text="notes")
    data = TaskData(folder, folder)
    agent.open(AgentContext(open_sandbox(), task, data, Profile(5.0), folder / "agent"))
    return agent


@pytest.mark.agents
@pytest.mark.parametrize("kind", KINDS)
def test_five_proposals(
    kind: str,
    make_provider: Callable[[Script], FakeProvider],
    make_view: Callable[..., View],
    decide: Callable[..., View],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each delivers its edits, its own account of the cost agrees with the proxy's, and no key reaches it."""
    made, program = KINDS[kind][0], program_of(kind)
    asked: list[int] = []

    def script(number: int, body: Any) -> Turn | Fault:
        if number in (0, 3):
            return Fault(529, {"retry-after": "0"})
        text = str(body.get("messages") or body.get("input"))
        if "tool_result" in text or "function_call_output" in text:
            return Turn("done")
        asked.append(number)
        command = f"{LOOK}; {EDIT.format(31 + len(asked), 32 + len(asked), len(asked))}"
        if kind == "codex":
            return Turn("", [("exec_command", {"cmd": command})])
        return Turn("", [("Bash", {"command": command, "description": "edit"})])

    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
    monkeypatch.setattr(cli, "make_smoke_test", lambda _: lambda *_: (True, "it runs"))
    provider = make_provider(script)
    agent = made("small", PRICES, program, provider.url, ProposalLimits(minutes=5.0))
    opened(agent, tmp_path)
    view, total = make_view(), Usage()
    for number in range(1, 6):
        proposal = agent.propose(view)
        assert proposal.problem == ""
        assert f"BATCH = {32 + number}".encode() in proposal.files["train.py"]
        assert (proposal.rationale, proposal.hypothesis) == (f"batches {number}", "lower")
        claimed: Any = proposal.state["claimed"]
        assert claimed["usage"]["output_tokens"] == proposal.usage.output_tokens
        total = added(total, proposal.usage)
        view = decide(view, proposal, 1.4, keep=True)
    assert total.input_tokens == provider.total("input_tokens")
    assert total.output_tokens == provider.total("output_tokens")
    bodies = "\n".join(seen.raw.decode() for seen in provider.seen)
    assert "it runs" in bodies
    assert "the-harness-has-it" in bodies
    assert "canary" not in bodies


KEY = "sk-canary-4711-sk-canary"
LIMIT_SECONDS, IDLE_SECONDS = 30.0, 20.0
ENDING_LIMIT_SECONDS = 120.0  # of modes that end by themselves, on whatever machine
EVERY = int(os.environ.get("AGENT_MODES_EVERY", "1"))
CHOSEN = os.environ.get("AGENT_MODES", "")
_DONE = b"batches 1"


def check_mode(kind: str, program: str, name: str, view: View, folder: Path) -> None:
    provider = FaultyProvider(Wire("messages" if kind == "claude_code" else "responses"), MODES[name])
    command = EDIT.format(32, 33, 1)
    call: tuple[str, Any] = ("exec_command", {"cmd": command})
    if kind == "claude_code":
        call = ("Bash", {"command": command, "description": "edit"})

    def reply(body: bytes) -> list[Event]:
        return provider.wire.events([], text="done") if _DONE in body else provider.wire.events([call])

    def agent_for(minutes: float, idle: float, part: str) -> CommandLineAgent:
        limits = ProposalLimits(minutes=minutes, dollars=50.0, tokens=None)
        made = KINDS[kind][0]
        return opened(made("small", PRICES, program, provider.url, limits, idle_minutes=idle), folder / part)

    provider.reply = reply
    waits = name.startswith(("tcp", "sse")) or any(
        word in name for word in ("retry-after", "without end", "a time")
    )
    limit_seconds, idle_seconds = (LIMIT_SECONDS, IDLE_SECONDS) if waits else (ENDING_LIMIT_SECONDS, 90.0)
    try:
        agent = agent_for(limit_seconds / 60, idle_seconds / 60, "first")
        started = time.monotonic()
        first = proposed(agent, view)
        took = time.monotonic() - started
        assert KEY not in (str(first) if isinstance(first, AgentError) else repr(first))
        assert took < limit_seconds + 5 + 20 * slowness()
        usage = first.usage if isinstance(first, Proposal) else Usage()
        wait_for(lambda: told(usage) == provider.told or provider.untold)
        assert sum(told(usage).values()) >= sum(provider.told.values())
        cut_by_us = isinstance(first, Proposal) and re.match(
            "stopped before|the agent's program said", first.problem
        )
        if not provider.untold and not cut_by_us:
            assert told(usage) == provider.told
        provider.times = 0
        before = dict(provider.told)
        again = proposed(agent_for(5.0, 2.0, "again"), view)
        assert isinstance(again, Proposal)
        assert again.problem == ""
        assert b"BATCH = 33" in again.files["train.py"]
        assert wait_for(lambda: told(again.usage) == {n: provider.told[n] - before[n] for n in COUNTS})
    finally:
        provider.close()
    compared = not (provider.untold or cut_by_us)
    problem = str(first) if isinstance(first, AgentError) else first.problem
    noted(
        kind, name, seconds=round(took, 1), requests=provider.requests, to_the_token=compared, problem=problem
    )


def noted(kind: str, name: str, **facts: Any) -> None:
    """A line for those who want the figures."""
    if path := os.environ.get("AGENT_MODES_LOG"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"program": kind, "mode": name, **facts}) + "\n")


@pytest.mark.agents
@pytest.mark.parametrize("group", ["tcp", "status", "sse", "usage", "calls"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_a_provider(
    kind: str, group: str, make_view: Callable[..., View], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong between the program and its provider, the proposal ends in time with its bill, to the token
    where usage was told, and the next one is served."""
    program = program_of(kind)
    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(cli, "make_smoke_test", lambda _: lambda *_: (True, "it runs"))
    failed: dict[str, str] = {}
    names = [name for name in MODES if name.startswith(f"{group}:") and re.search(CHOSEN, name)][::EVERY]

    def tried(name: str) -> None:
        try:
            check_mode(kind, program, name, make_view(), tmp_path / str(names.index(name)))
        except BaseException as error:  # noqa: BLE001  # all modes are tried before the first failure is shown
            failed[name] = f"{type(error).__name__}: {error}"[:400]
            noted(kind, name, failed=failed[name])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(tried, names))
    print(f"{kind}, {group}: {len(names)} modes")
    assert not failed, "\n".join(f"{name}: {words}" for name, words in failed.items())
