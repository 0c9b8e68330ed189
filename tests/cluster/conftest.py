"""Sessions of 12 proposals on the smallest task, with plain effects, for clusters that are struck meanwhile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import chain

ROOT = Path(__file__).resolve().parent.parent.parent
REPLAY = ROOT / "tasks" / "digits" / "replay"
WORSE = {
    "slow": ("LEARNING_RATE = 0.03", "LEARNING_RATE = 0.0003"),
    "fast": ("LEARNING_RATE = 0.03", "LEARNING_RATE = 30.0"),
    "tiny": ("HIDDEN = 32", "HIDDEN = 1"),
    "decay": ("WEIGHT_DECAY = 0.0", "WEIGHT_DECAY = 2.0"),
    "still": ("LEARNING_RATE = 0.03", "LEARNING_RATE = 0.00001"),
    "narrow": ("HIDDEN = 32", "HIDDEN = 2"),
}
# Work is fixed, so that the machine's load bears on no score; what looks at the machine's speed is left out, as these
# sessions share two cores with each other's daemons. Three certificate trials: a repeated one has another seed.
SETTINGS = (
    "task=digits", "agent=replay", "keep=race", "budget=smoke", "budget.steps=400", "budget.seconds=20",
    "budget.certificate=3", "~guards.budget_honesty",
)  # fmt: skip


@pytest.fixture(scope="module")
def proposals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task's six recorded proposals and six that make it plainly worse once the first of those is kept."""
    folder = tmp_path_factory.mktemp("proposals")
    for file in REPLAY.glob("*.patch"):
        shutil.copy(file, folder)
    text = (ROOT / "tasks" / "digits" / "train.py").read_text()
    lines = text.replace("MOMENTUM = 0.0", "MOMENTUM = 0.9").splitlines()
    for number, (name, (old, new)) in enumerate(WORSE.items(), 7):
        place = next(index for index, line in enumerate(lines) if line.startswith(old))
        around = lines[place - 1 : place + 2]
        body = [f" {around[0]}", f"-{around[1]}", f"+{around[1].replace(old, new)}", f" {around[2]}"]
        head = [
            f"{name.capitalize()}: plainly worse.",
            "",
            "--- a/train.py",
            "+++ b/train.py",
            f"@@ -{place},3 +{place},3 @@",
        ]
        (folder / f"{number:04d}-{name}.patch").write_text("\n".join([*head, *body]) + "\n")
    return folder


def command(folder: Path, tag: str, proposals: Path, *more: str) -> list[str]:
    places = (f"session.folder={folder}", f"session.tag={tag}", f"agent.folder={proposals}")
    return [sys.executable, "-m", "harness", *SETTINGS, *places, *more]


def started(arguments: list[str], log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as stream:
        return subprocess.Popen(
            arguments, stdout=stream, stderr=stream, process_group=0, env={**os.environ, **environment}
        )


@pytest.fixture(scope="module")
def one_slot(proposals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's folder, made on this machine with one trial after the other."""
    folder = tmp_path_factory.mktemp("one")
    log = folder / "log"
    assert started(command(folder, "one", proposals), log, {}).wait() == 0, log.read_text()[-3000:]
    return folder / "one"


def same_secret(one_slot: Path, folder: Path) -> None:
    """The same seeds."""
    folder.mkdir(parents=True)
    shutil.copy(one_slot / "secret", folder / "secret")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All whole rows; [] before there is a ledger."""
    return chain.read(folder) if (folder / chain.FILE_NAME).exists() else []


def verdicts(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """What was decided about each proposal, and whether the certificate passed."""
    decided = [
        (row["proposal"], row["decision"], row["decided_by"]) for row in rows if row["kind"] == "decided"
    ]
    return decided + [(0, "certificate", str(row["passed"])) for row in rows if row["kind"] == "certificate"]


def assert_settled(folder: Path, one_slot: Path, proposals: int | None = None) -> None:
    """The ledger is whole, every trial was made and taken once, nothing is left, the verdicts are those of one slot.

    proposals: that the session made, where it stopped before the others and without a certificate.
    """
    chain.check(folder)
    rows = rows_of(folder)
    for kind in ("trial_started", "trial_finished", "trial_taken"):
        ids = [row.get("ahead") or row["trial_id"] for row in rows if row["kind"] == kind]
        assert len(ids) == len(set(ids)), kind
    assert verdicts(rows) == verdicts(rows_of(one_slot))[:proposals]
    left = {entry.name for entry in (folder / "slots").iterdir() if entry.is_dir()} - {"slurm"}
    assert not left
    assert not list(folder.rglob("*.new"))
