"""Whole sessions with each agent: `python -m harness` against a provider on the loopback, real trials and guards."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn

from harness.ledger import chain as ledger

PROGRAM = Path(__file__).parent / "fake_command_line.py"
SETTINGS = ("task=digits", "budget=smoke", "budget.seconds=1.5", "budget.certificate=0", "session.tag=one")
SETTINGS += ("budget.proposals=5", "keep=greedy")
PRICE = (
    "{date: '2026-06', input: 3.0, output: 15.0, cached_input: 0.3, cache_write: 3.75, cache_write_hour: 6.0}"
)

HIDDEN = "HIDDEN = 32"


def script_for(kind: str) -> Script:
    """The trial of the key, then five proposals: a comment after faults, a crash at import, a refusal to work, a
    change of a protected file (or, where tools do not allow it, a tried one), a wider layer."""
    crash, wider = "HIDDEN = int(None)", "HIDDEN = 48"
    if kind in ("claude", "openai"):
        plans: list[list[Turn | Fault]] = [
            [Fault(429, {"retry-after": "0"}), Fault(500), append("# a comment"), submit("comment")],
            [smoke(crash), submit("crash")],
            [Turn("done"), Turn("done")],
            [Turn("", [("write_file", {"path": "evaluate.py", "content": "x"})]), append("# b"), submit("b")],
            [write(source().replace(HIDDEN, wider)), submit("c")],
        ]
        turns = [turn for plan in plans for turn in plan]
    else:
        say = "printf 'words\\nHypothesis: none\\n' > PROPOSAL.md"

        def shell(text: str) -> Turn:
            return Turn("", [("shell", {"command": f"{text}; {say}"})])

        turns = [
            *(Fault(429, {"retry-after": "0"}), shell("echo '# a' >> train.py; smoke_test 1"), Turn("done")),
            *(shell(f"sed -i 's/{HIDDEN}/{crash}/' train.py"), Turn("done")),
            Turn("done"),
            *(shell("echo '# b' >> evaluate.py"), Turn("done")),
            *(shell(f"sed -i 's/{HIDDEN}/{wider}/' train.py"), Turn("done")),
        ]
    turns = [Turn("yes"), *turns]  # the trial of the key
    return lambda number, _: turns[number] if number < len(turns) else Turn("over")


def source() -> str:
    from harness.config.locations import task_folders

    return (task_folders()["digits"] / "train.py").read_text()


def append(line: str) -> Turn:
    return write(f"{source()}{line}\n")


def write(content: str) -> Turn:
    return Turn("", [("write_file", {"path": "train.py", "content": content})])


def smoke(line: str) -> Turn:
    return Turn("", [*write(source().replace(HIDDEN, line)).calls, ("smoke_test", {"seconds": 1})])


def submit(words: str) -> Turn:
    return Turn("", [("submit", {"rationale": words, "hypothesis": words})])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["claude", "openai", "claude_code", "codex"])
def test_five_proposals(kind: str, make_provider: Callable[[Script], FakeProvider], tmp_path: Path) -> None:
    """The session ends in order; every fault is in the ledger; the ledger's bill is the server's; no key is in any
    file of the session or in what the provider got."""
    provider = make_provider(script_for(kind))
    address = f"{provider.url}/v1" if kind == "openai" else provider.url
    own = () if kind in ("claude", "openai") else (f"agent.program={PROGRAM}",)
    fast = ("agent.first_pause_seconds=0.01",) if kind in ("claude", "openai") else ()
    more = (f"agent={kind}", "agent.model=small", f"+agent.prices.small={PRICE}", f"agent.base_url={address}")
    environment = {
        **os.environ,
        "ANTHROPIC_API_KEY": "canary-key",
        "OPENAI_API_KEY": "canary-key",
        "MY": "canary-own",
    }
    command = [sys.executable, "-m", "harness", *SETTINGS, f"session.folder={tmp_path}", *more, *own, *fast]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = ledger.read(tmp_path / "one")
    proposed: list[Any] = [row for row in rows if row["kind"] == "proposed"]
    decided: list[Any] = [row for row in rows if row["kind"] == "decided"]
    assert len(proposed) == len(decided) == 5
    faults = proposed[0]["state"]["faults"]
    assert faults["rate_limit"] == 1
    assert decided[1]["reason"].startswith("crashed."), decided[1]
    assert decided[2]["reason"] == "agent.problem"
    if kind in ("claude", "openai"):
        assert proposed[1]["state"]["faults"]["smoke_test_failed"] == 1
        assert proposed[3]["state"]["faults"]["not_editable"] == 1
    else:
        assert proposed[0]["state"]["smoke_tests"] == 1
        assert decided[3]["reason"].startswith("scope."), decided[3]
    for key, name in (
        ("input_tokens", "input_tokens"),
        ("output_tokens", "output_tokens"),
        ("cached_input_tokens", "cache_read_input_tokens"),
        ("cache_write_tokens", "cache_creation_input_tokens"),
    ):
        assert sum(row["usage"][key] for row in proposed) == provider.total(name)
    report = [sys.executable, "-m", "harness.report", str(tmp_path / "one")]
    subprocess.run(report, env=environment, capture_output=True, check=True, timeout=300)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".html" for path in files)
    assert not [path for path in files if b"canary-" in path.read_bytes()]
    assert "canary-" not in done.stdout + done.stderr
    assert "canary-" not in "".join(seen.raw.decode() for seen in provider.seen)
