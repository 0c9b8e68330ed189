"""A whole night: a hundred proposals from a provider that fails one request in five."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_provider import FakeProvider, Fault, Script, Turn
from test_sessions import PRICE, SETTINGS, source

from harness.ledger import chain as ledger
from harness.records import Usage, added

PROPOSALS, TRIED_EVERY = 100, 20
KEY = "sk-canary-4711-night"
FAULTS = [Fault(429, {"retry-after": "0"}), Fault(500), Fault(529), Fault(503, body={})]
CUT = Turn("cut ", [("submit", {"rationale": "never whole"})], cut_after=4)


def night() -> Script:
    """Two replies a proposal: an edit and a submission. Most edits are of a file that may not be changed, so that the
    night is about its agent and not about training; every twentieth is tried. One request in five fails."""
    good = 0

    def script(number: int, _: Any) -> Turn | Fault:
        nonlocal good
        if number % 5 == 4:
            place = number // 5 % (len(FAULTS) + 1)
            return FAULTS[place] if place < len(FAULTS) else CUT
        if number == 0:
            return Turn("yes")  # the trial of the key
        good += 1
        if good % 2:
            return Turn("words " * 200, [("write_file", {"path": "train.py", "content": content(good // 2)})])
        return Turn("", [("submit", {"rationale": f"idea {good // 2}", "hypothesis": "lower"})])

    return script


def content(number: int) -> str:
    """What is tried ends in no time; the others are no Python that a guard lets through, and cost no trial."""
    if number % TRIED_EVERY == 0:
        return f"raise SystemExit({number + 1})\n"
    return f"{source()}\nimport subprocess\nsubprocess.run(['true', '{number}'])\n"


@pytest.mark.slow
def test_a_night_of_a_hundred_proposals(
    make_provider: Callable[[Script], FakeProvider], tmp_path: Path
) -> None:
    """It is finished, in order; the ledger's accounts are the server's, to the token that it told; faults are counted;
    the session's memory does not grow with its proposals; the ledger verifies and no key is in any file."""
    provider = make_provider(night())
    settings = [*SETTINGS[:-2], f"budget.proposals={PROPOSALS}", "keep=greedy", f"session.folder={tmp_path}"]
    settings += [
        "agent=claude",
        "agent.model=small",
        f"+agent.prices.small={PRICE}",
        f"agent.base_url={provider.url}",
    ]
    settings += ["agent.first_pause_seconds=0.01", "agent.ahead=0"]
    environment = {**os.environ, "ANTHROPIC_API_KEY": KEY}
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *settings],
            cwd=tmp_path,
            env=environment,
            stdout=file,
            stderr=file,
        )
        resident = watched(process, tmp_path / "one" / "ledger.jsonl")
    assert process.returncode == 0, log.read_text()[-3000:]
    rows: list[Any] = ledger.read(tmp_path / "one")
    proposed = [row for row in rows if row["kind"] == "proposed"]
    assert len(proposed) == sum(row["kind"] == "decided" for row in rows) == PROPOSALS
    spent = Usage()
    for row in proposed:
        spent = added(spent, Usage(**row["usage"]))
    assert spent.input_tokens == provider.total("input_tokens")
    cuts = sum(seen.usage is not None and seen.usage["output_tokens"] == 1 for seen in provider.seen)
    more = spent.output_tokens - provider.total("output_tokens")
    assert (
        0 <= more <= 20 * cuts
    )  # what streamed of a reply that was cut is estimated: its provider never told it
    assert cuts >= 5
    assert spent.cached_input_tokens == provider.total("cache_read_input_tokens")
    assert spent.cache_write_tokens == provider.total("cache_creation_input_tokens")
    failed = sum(sum(row["state"]["faults"].get(kind, 0) for kind in PASSING) for row in proposed)
    assert failed == sum(number % 5 == 4 for number in range(len(provider.seen)))
    print(
        "resident MiB by proposal:", {number: size >> 20 for number, size in sorted(resident.items())[::10]}
    )
    early, late = resident[min(resident, key=lambda number: abs(number - 40))], resident[max(resident)]
    assert late < early + (24 << 20)
    check = [sys.executable, "-m", "harness.ledger", "verify", str(tmp_path / "one")]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


PASSING = ("rate_limit", "server", "cut")


def watched(process: "subprocess.Popen[bytes]", file: Path) -> dict[int, int]:
    """Proposals decided so far -> resident bytes of the session's process."""
    resident: dict[int, int] = {}
    seen = psutil.Process(process.pid)
    end = time.monotonic() + 1500
    while process.poll() is None and time.monotonic() < end:
        decided = file.read_bytes().count(b'"kind":"decided"') if file.exists() else 0
        try:
            resident[decided] = seen.memory_info().rss
        except psutil.Error:
            break
        time.sleep(0.25)
    process.wait(60)
    return resident
