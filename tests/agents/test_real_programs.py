"""The real Claude Code and Codex against the loopback server: `make test-agents`, where npm has them.

AGENT_PROGRAMS names the folder with `claude` and `codex` (e.g. node_modules/.bin); default: the path.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn

from harness.agents import keys
from harness.agents.command_line import agent as cli
from harness.agents.command_line.claude_code import ClaudeCode
from harness.agents.command_line.codex import Codex
from harness.agents.context import AgentContext
from harness.agents.prices import Prices
from harness.agents.spending import ProposalLimits
from harness.records import Usage, View, added
from harness.sandbox.open import open_sandbox
from harness.task.task import Profile, TaskData

PRICES = {"small": Prices("2026-06", 3.0, 15.0, 0.3, 3.75, 6.0)}
EDIT = "sed -i 's/BATCH = {}/BATCH = {}/' train.py; printf 'batches {}\\nHypothesis: lower\\n' > PROPOSAL.md"
LOOK = "env; cat /proc/*/environ; smoke_test 2"
KINDS = {"claude_code": (ClaudeCode, "claude"), "codex": (Codex, "codex")}


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
    made, name = KINDS[kind]
    program = shutil.which(name, path=os.environ.get("AGENT_PROGRAMS"))
    if program is None:
        pytest.skip(f"there is no {name}")
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
    task: Any = SimpleNamespace(program_text="notes")
    data = TaskData(tmp_path, tmp_path)
    agent.open(AgentContext(open_sandbox(), task, data, Profile(5.0), tmp_path / "agent"))
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
