"""What must hold of a session after any fault."""

from pathlib import Path
from typing import Any

import psutil

from harness.ledger import chain
from harness.session.sitting import MARK


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All whole rows; [] before there is a ledger. Raises LedgerError for one that does not verify."""
    return chain.read(folder) if (folder / chain.FILE_NAME).exists() else []


def verdicts(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """What the session decided, without what depends on a seed: the reason's family tells enough."""
    return [
        (row["proposal"], row["decision"], row["decided_by"]) for row in rows if row["kind"] == "decided"
    ] + [(0, "certificate", str(row["passed"])) for row in rows if row["kind"] == "certificate"]


def assert_nothing_lost(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Rows that were there before the fault are there after it, to the byte."""
    assert [row["hash"] for row in after[: len(before)]] == [row["hash"] for row in before]


def assert_each_trial_once(rows: list[dict[str, Any]]) -> None:
    """No trial is finished twice, and none that ended with a result is made again."""
    finished = [row for row in rows if row["kind"] == "trial_finished"]
    ids = [row["trial_id"] for row in finished]
    assert len(ids) == len(set(ids))
    results = [row["trial_id"].partition("~")[0] for row in finished if row["outcome"] != "infra_failed"]
    assert len(results) == len(set(results)), "a finished trial was repeated"
    scored = [row["trial_id"] for row in rows if row["kind"] == "scored" and row["status"] != "infra_failed"]
    assert len(scored) == len(set(scored)), "a scored trial was scored again"


def assert_nothing_left(folder: Path) -> None:
    """No half-made file, no artefact that nothing asks for, no lock of git, no process."""
    odd = [str(file) for file in folder.rglob("*") if file.name.endswith((".new", ".lock", ".tmp"))]
    assert not odd
    assert not (folder / MARK).exists()
    rows = rows_of(folder)
    discarded = {row["commit"] for row in rows if row["kind"] == "decided" and row["decision"] == "discard"}
    wanted = {
        row["artefact"] for row in rows if row["kind"] == "trial_finished" and row["commit"] not in discarded
    }
    assert {f"artefacts/{file.name}" for file in (folder / "artefacts").glob("*")} <= wanted
    commands = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(folder) in command]


def assert_no_traceback(log: Path) -> None:
    text = log.read_text(errors="replace") if log.exists() else ""
    assert "Traceback" not in text, text[-3000:]
    assert "Error:" not in text, text[-3000:]
