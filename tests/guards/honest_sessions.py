"""Sessions that take the corpus's honest edits up to the door of a keep, and what stopped each on its way."""

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guard_table import ROOT, changed, entries

REACHED = "last.reached"
SITTINGS = 3
MACHINES = "keep.unlike_conditions"  # said by the referee where the machine changed: nothing about the edit


def edits(base: str) -> list[dict[str, Any]]:
    """Every honest entry of the corpus that changes this program, and nothing but it."""
    found = [one for one in entries("honest*.toml", "edit") if one.get("base") == base]
    return [one for one in found if one.get("change") and not one.get("files")]


def parts(base: str, size: int) -> list[list[dict[str, Any]]]:
    """The same, a session's worth each."""
    found = edits(base)
    return [found[first : first + size] for first in range(0, len(found), size)]


def stopped(
    files: Mapping[str, str],
    cases: Sequence[Mapping[str, Any]],
    folder: Path,
    *settings: str,
    **environment: str,
) -> list[tuple[str, str, str]]:
    """Name, reason and message of every edit that did not come to the door of a keep.

    files: what they change. What changes nothing may be called a duplicate. What was measured while the
    machine changed is taken through another session, as the referee then says nothing of the edit.
    """
    found, left = [], list(cases)
    for sitting in range(SITTINGS):
        decided = _decided(files, left, folder, sitting, *settings, **environment)
        left = [case for case, row in decided if row["reason"] == MACHINES]
        found += [
            (case["name"], row["reason"], row["message"])
            for case, row in decided
            if row["reason"] not in (REACHED, MACHINES) and not _duplicate(case, row)
        ]
        if not left:
            break
    return found + [(case["name"], MACHINES, f"{SITTINGS} times") for case in left]


def _duplicate(case: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return bool(case.get("cosmetic")) and row["reason"].startswith("duplicates.")


def _decided(
    files: Mapping[str, str],
    cases: Sequence[Mapping[str, Any]],
    folder: Path,
    sitting: int,
    *settings: str,
    **environment: str,
) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Each edit with the row that decides it. A session has to end well."""
    patches = folder / f"patches-{sitting}"
    patches.mkdir()
    for place, case in enumerate(cases, 1):
        patch = f"{case['name']}.\n---\n{difference(files, changed(files, case))}"
        (patches / f"{place:04d}.patch").write_text(patch, encoding="utf-8")
    tag = f"sitting-{sitting}"
    rows = _session(folder, tag, f"agent.folder={patches}", *settings, **environment)
    decided = [row for row in rows if row["kind"] == "decided"]
    assert len(decided) == len(cases)
    return list(zip(cases, decided, strict=True))


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """As `git diff` writes it, of files by their names."""
    parts = (
        difflib.unified_diff(text.splitlines(True), after[name].splitlines(True), f"a/{name}", f"b/{name}")
        for name, text in before.items()
    )
    return "".join(line for part in parts for line in part)


def _session(folder: Path, tag: str, *settings: str, **environment: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "harness", "agent=replay"]
    command += [
        f"session.folder={folder}",
        f"session.tag={tag}",
        "budget.certificate=0",
        "scoring.load_factor=20",
    ]
    command += ["keep=greedy", "keep._target_=wanting_all.WantsAll", "keep.incumbent_runs=2"]
    command += ["promotion.same_seed=false", "+guards.last._target_=wanting_all.Last", *settings]
    command += ["guards.budget_honesty._target_=wanting_all.OnAnyMachine"]
    command += ["~guards.side_metrics"]  # a limit for what is better: here, what is worse is wanted, too
    path = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    ended = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return [json.loads(line) for line in (folder / tag / "ledger.jsonl").read_text().splitlines()]
