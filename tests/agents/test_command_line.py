"""Command-line agents: the sandbox, the proxy, the bill; with a small program in the place of the real ones."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn

from harness.agents import keys
from harness.agents.command_line import agent as cli
from harness.agents.command_line.agent import CommandLineAgent
from harness.agents.command_line.claude_code import ClaudeCode
from harness.agents.command_line.codex import Codex
from harness.agents.context import AgentContext
from harness.agents.prices import Prices
from harness.agents.spending import ProposalLimits
from harness.errors import AgentError, SandboxUnavailable, UserError
from harness.records import Files, Level, Usage, View, added
from harness.sandbox.open import Command, Sandbox, open_sandbox
from harness.task.task import Profile, TaskData

MakeView = Callable[..., View]
Decide = Callable[..., View]
MakeProvider = Callable[[Script], FakeProvider]
PRICES = {
    "small": Prices(
        "2026-06", input=3.0, output=15.0, cached_input=0.3, cache_write=3.75, cache_write_hour=6.0
    )
}
PROGRAM = str(Path(__file__).parent / "fake_command_line.py")
KINDS = ["claude_code", "codex"]
WORDS = "printf 'smaller batches\\nHypothesis: more steps\\n' > PROPOSAL.md"
EDIT = "sed -i 's/BATCH = 32/BATCH = 16/' train.py"
MakeAgent = Callable[..., CommandLineAgent]


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    try:
        opened = open_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    if opened.mechanism < Level.L2:
        pytest.skip("command-line agents need namespaces (level L2 or L3)")
    return opened


@pytest.fixture
def make_agent(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeAgent:
    def smoke_test(tree: Files, seconds: float) -> tuple[bool, str]:
        return b"BATCH = 16" in tree["train.py"], f"tried for {seconds:g} seconds"

    def make(kind: str, provider: FakeProvider, **limits: Any) -> CommandLineAgent:
        kinds = {"claude_code": ClaudeCode, "codex": Codex}
        own = {
            name: limits.pop(name) for name in ("idle_minutes", "grace_seconds", "login") if name in limits
        }
        agent = kinds[kind](
            "small",
            PRICES,
            limits.pop("program", PROGRAM),
            provider.url,
            ProposalLimits(**{"minutes": 2.0, **limits}),
            **own,
        )
        task: Any = SimpleNamespace(program_text="notes of the task")
        data = TaskData(tmp_path / "public", tmp_path / "private")
        agent.open(AgentContext(sandbox, task, data, Profile(5.0), tmp_path / "agent"))
        return agent

    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setattr(cli, "make_smoke_test", lambda _: smoke_test)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key-anthropic")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key-openai")
    return make


def shell(*commands: str) -> Turn:
    return Turn("", [("shell", {"command": command}) for command in commands])


def in_turn(*turns: Turn | Fault) -> Script:
    return lambda number, _: turns[number] if number < len(turns) else Turn("done")


def said(provider: FakeProvider) -> str:
    """Everything that reached the provider."""
    return "\n".join(seen.raw.decode() + str(seen.headers) for seen in provider.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_five_proposals_with_faults(
    kind: str, make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView, decide: Decide
) -> None:
    """Edits arrive, faults are passed on and counted, the bill is the server's to the token."""
    provider = make_provider(
        in_turn(
            Fault(429, {"retry-after": "0.05"}),
            shell(EDIT, WORDS, "smoke_test 3", "mkdir -p .cache __pycache__; touch .cache/x __pycache__/y"),
            Turn("done"),  # 1
            Fault(529),
            shell("sed -i s/pass/return/ prepare.py; ln -s /etc/passwd train2.py", WORDS),
            Turn("done"),  # 2: a protected file and a link, for the guards to see
            Turn("the program is optimal already"),  # 3: no change
            shell("rm train.py; mkfifo pipe"),
            Turn("done"),  # 4: not an ordinary file
            Fault(500),
            shell(f"{EDIT}; kill -9 $PPID"),  # 5: the program dies before it has said what it did
        )
    )
    agent, view, total, proposals = make_agent(kind, provider), make_view(), Usage(), []
    for _ in range(5):
        proposal = agent.propose(view)
        proposals.append(proposal)
        total = added(total, proposal.usage)
        view = decide(view, proposal)
    first, second, third, fourth, fifth = proposals
    assert (first.problem, list(first.files)) == ("", ["train.py"])
    assert b"BATCH = 16" in first.files["train.py"]
    assert (first.rationale, first.hypothesis) == ("smaller batches", "more steps")
    assert first.state["faults"] == {"rate_limit": 1, "stripped": 3}
    assert "tried for 3 seconds" in said(provider)
    assert (list(second.files), second.links) == (["prepare.py"], {"train2.py": "/etc/passwd"})
    assert third.problem == "the agent stopped without a change"
    assert "no ordinary file" in fourth.problem
    assert "the agent's program failed" in fifth.problem
    assert total.input_tokens == provider.total("input_tokens")
    assert total.output_tokens == provider.total("output_tokens")
    assert total.dollars > 0
    claimed = first.state["claimed"]
    assert isinstance(claimed, dict)
    assert claimed["usage"] == {
        "input_tokens": first.usage.input_tokens + first.usage.cached_input_tokens,
        "output_tokens": first.usage.output_tokens,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_canaries_never_leave(
    kind: str,
    make_agent: MakeAgent,
    make_provider: MakeProvider,
    make_view: MakeView,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Secrets in our environment, in the home and in the session's folder reach neither the provider nor any file;
    the key goes to the provider, in a header, and nowhere else."""
    checkout = Path(__file__).resolve().parents[2]
    home = tmp_path / "home"
    for folder in (home / ".ssh", tmp_path / "session", tmp_path / "private"):
        folder.mkdir(parents=True)
        (folder / "secret").write_text("canary-file")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MY_TOKEN", "canary-environment")
    look = (
        "(env; cat /proc/*/environ /proc/*/cmdline; ls -laR ~ /home /root; "
        f"cat {tmp_path}/*/secret {home}/.ssh/secret; ls {tmp_path} {checkout}; cat {checkout}/pyproject.toml; "
        "grep -rsoh 'can''ary-[a-z]*' /etc /tmp /trial/out /dev/shm) | head -c 30000"
    )
    provider = make_provider(in_turn(shell(look, EDIT, WORDS)))
    proposal = make_agent(kind, provider).propose(make_view())
    assert proposal.problem == ""
    bodies = "\n".join(seen.raw.decode() for seen in provider.seen)
    assert "canary-" not in bodies
    assert "[build-system]" not in bodies
    assert "the-harness-has-it" in bodies  # it did look into its environment
    key = {"claude_code": "canary-key-anthropic", "codex": "canary-key-openai"}[kind]
    assert all(any(value.endswith(key) for value in seen.headers.values()) for seen in provider.seen)
    assert "canary-" not in repr(proposal)
    assert {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} - set(os.environ)
    ours = [path for path in (tmp_path / "agent").rglob("*") if path.is_file()]
    assert not any(b"canary-" in path.read_bytes() for path in ours)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_is_not_passed(
    kind: str, make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """A program that never ends is refused before the limit of a proposal."""
    provider = make_provider(lambda *_: shell("echo on and on"))
    proposal = make_agent(kind, provider, dollars=0.05).propose(make_view())
    assert proposal.problem == "stopped before the limit of $0.05 or 1000000 tokens per proposal"
    assert 0.002 < proposal.usage.dollars <= 0.05
    assert proposal.usage.input_tokens == provider.total("input_tokens")


def test_the_clock_ends_a_program(
    make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """And everything that it has started."""
    provider = make_provider(in_turn(shell("sleep 600")))
    proposal = make_agent("codex", provider, minutes=0.05).propose(make_view())
    assert proposal.problem == "stopped before the limit of 0.05 minutes per proposal"


def test_the_end_of_the_session_ends_a_program(
    make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """Ctrl-C does not wait for twenty minutes of thought."""
    agents: list[CommandLineAgent] = []

    def script(number: int, _: Any) -> Turn:
        if number:
            agents[0].close()  # it is at work now
        return shell("echo on and on")

    agents.append(make_agent("codex", make_provider(script), minutes=60.0))
    proposal = agents[0].propose(make_view())
    assert proposal.problem


def test_the_proxy_lets_nothing_else_through(
    make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """Other paths, other models and tools that the provider would run are refused or taken out."""
    post = "curl -s -X POST -H 'content-type: application/json' $ANTHROPIC_BASE_URL"
    provider = make_provider(
        in_turn(
            shell(
                f"{post}/v1/files -d '{{}}'",
                f'{post}/v1/messages -d \'{{"model": "large", "max_tokens": 1, "messages": []}}\'',
                f"{post}/v1/messages -d 'no json'",
                EDIT,
            )
        )
    )
    proposal = make_agent("claude_code", provider).propose(make_view())
    assert {seen.path for seen in provider.seen} == {"/v1/messages"}
    assert {seen.body["model"] for seen in provider.seen} == {"small"}
    assert not any("web_search" in str(seen.body["tools"]) for seen in provider.seen)
    faults = proposal.state["faults"]
    assert isinstance(faults, dict)
    assert (faults["refused_path"], faults["refused_model"], faults["unreadable_request"]) == (1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_ends_the_session_in_order(
    kind: str, make_agent: MakeAgent, make_provider: MakeProvider, make_view: MakeView
) -> None:
    """AgentError, in one line, without the key."""
    provider = make_provider(lambda *_: Fault(401))
    with pytest.raises(AgentError, match="status 401"):
        make_agent(kind, provider).propose(make_view())


def test_no_program_no_start(make_agent: MakeAgent, make_provider: MakeProvider) -> None:
    """Said by the constructor."""
    make_agent("claude_code", make_provider(in_turn()))
    with pytest.raises(UserError, match="no program 'claude-that-is-not-there'"):
        ClaudeCode("small", PRICES, "claude-that-is-not-there", "http://127.0.0.1:9")


NETWORK = b"""
import socket
def tried(what, *arguments):
    try:
        return what(*arguments) and "open"
    except OSError:
        return "closed"
listener = socket.create_server(("127.0.0.1", 0)) if MINE else None
own = tried(socket.create_connection, listener.getsockname()) if MINE else "none"
others = [tried(socket.create_connection, place, 2) for place in (("127.0.0.1", PORT), ("1.1.1.1", 80))]
families = socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK
print(own, *others, *[tried(socket.socket, family) for family in families])
"""


@pytest.mark.parametrize("level", [Level.L3, Level.L2])
def test_a_loopback_of_its_own_reaches_nothing_else(level: Level, make_provider: MakeProvider) -> None:
    """Attack: our own loopback, the world, other address families. Honest twin: its own port works."""
    port = make_provider(in_turn()).port

    def printed(mine: bool) -> str:
        code = NETWORK.replace(b"MINE", str(mine).encode()).replace(b"PORT", str(port).encode())
        with Sandbox(level).start(Command("a.py", tree={"a.py": code}, loopback=mine)) as process:
            process.wait(60)
            return process.log.split("\n")[0]

    try:
        words = [printed(True), printed(False)]
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert words == ["open" + " closed" * 6, "none" + " closed" * 6]


COMMAND = Command("a.py", tree={"a.py": b""}, loopback=True)


def test_below_level_two_there_is_no_such_network() -> None:
    """Not a weaker one in its place."""
    with pytest.raises(SandboxUnavailable):
        Sandbox(Level.L1).start(COMMAND)


RECORDINGS = Path(__file__).parent / "recordings"
DONE = "import os; open('train.py', 'a').write('# better\\n'); open('PROPOSAL.md', 'w').write('a comment\\n')"
NOT_SAID = "open('train.py', 'a').write('# half\\n')"
HANGS = "import time; time.sleep(600)"


@pytest.fixture
def make_program(tmp_path: Path) -> Callable[..., str]:
    """A program that does something, says what one of the real ones once said (recorded), and ends in some way."""

    def make(kind: str, does: str, says: str, ends: str) -> str:
        name = f"{'claude' if kind == 'claude_code' else 'codex'}_{says}.jsonl"
        stream = (RECORDINGS / name).read_text() if says else ""
        folder = tmp_path / "program"
        folder.mkdir(exist_ok=True)
        program = folder / "program"
        program.write_text(f"#!/usr/bin/env python\n{does}\nprint({stream!r}, end='', flush=True)\n{ends}\n")
        program.chmod(0o755)
        return str(program)

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("does", "says", "ends", "problem", "fault"),
    [
        (DONE, "success", HANGS, "", ""),  # its last word is said, and it does not exit
        (DONE, "success", "", "", ""),
        (DONE, "", HANGS, "", ""),  # silent, but it has said what it did
        ("", "", HANGS, "said nothing for 0.05 minutes", ""),
        (NOT_SAID, "", HANGS, "said nothing for 0.05 minutes", ""),
        ("", "success", "", "stopped without a change", "empty"),
        ("", "usage_limit", "", "limit", "rate_limit"),  # also with status 0
        ("", "usage_limit", "raise SystemExit(1)", "limit", "rate_limit"),
        ("", "login", "raise SystemExit(1)", "failed: ", "login"),
        ("", "overloaded", "raise SystemExit(1)", "failed: ", "server"),
        ("", "refused", "raise SystemExit(1)", "failed: ", "program"),
        (NOT_SAID, "error_after_edit", "raise SystemExit(1)", "failed: ", "program"),
        (DONE, "error_after_edit", "raise SystemExit(1)", "", "program"),
    ],
)
def test_how_a_program_ends(
    kind: str,
    does: str,
    says: str,
    ends: str,
    problem: str,
    fault: str,
    make_agent: MakeAgent,
    make_provider: MakeProvider,
    make_program: Callable[..., str],
    make_view: MakeView,
) -> None:
    """Finished work is used, however the program ends; a failure is quoted and counted as what its own words say
    (recorded from the real programs), never as "no change"; a silent program is stopped before its time is over."""
    program = make_program(kind, does, says, ends)
    provider = make_provider(in_turn())
    agent = make_agent(kind, provider, program=program, idle_minutes=0.05, grace_seconds=0.5, minutes=5.0)
    proposal = agent.propose(make_view())
    faults = proposal.state["faults"]
    assert isinstance(faults, dict)
    assert problem in proposal.problem
    assert bool(proposal.problem) == bool(problem), proposal.problem
    assert faults.get(fault, 0) == bool(fault), faults
    if not problem:
        assert proposal.files["train.py"].endswith(b"# better\n")
        assert proposal.rationale == "a comment"
