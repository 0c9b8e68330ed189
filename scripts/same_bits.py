"""Same seed, same bits? `python scripts/same_bits.py EARLIER [key=value ...]`; without keys the smoke session.

Plays one session in the checkout EARLIER and in this one: the task folder of EARLIER, the same secret (and with it the
same seeds), fixed work (`budget.steps`), recorded proposals. This build's dice are switched off
(`executor.salted_seeding`, `executor.reordering`): they change bits on purpose. Compares every trial that both made, by
its id and the bytes of its sources: seed, outcome, SHA-256 of the artefact, score (to 1e-6); then decisions. What
differs is printed; exit code 1 if a trial of one program at one seed is. Of a safetensors file the score alone tells:
the same weights have another digest where metadata come in another order (findings/safetensors-metadata-order.sh).
"""

import json
import math
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
_SMOKE = ["preset=smoke", "task=digits", "budget.steps=400", "keep=race"]  # the rule that both have
_BECAUSE = "\nreadable_because: as it was in the build that this one is compared with\n"
Rows = list[dict[str, Any]]


def played(build: Path, tasks: Path, place: Path, secret: bytes, arguments: list[str]) -> Rows:
    """The rows of the session that `build` plays in `place`."""
    session = place / "session"
    session.mkdir(parents=True)
    (session / "secret").touch(0o600)
    (session / "secret").write_bytes(secret)
    environment = {**os.environ, "HARNESS_TASKS": str(tasks), "HARNESS_CACHE": str(place / "cache")}
    environment["PYTHONPATH"] = str(build)
    command = [sys.executable, "-m", "harness", *arguments, f"session.folder={place}", "session.tag=session"]
    done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{build}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [json.loads(line) for line in (session / "ledger.jsonl").read_text().splitlines()]


def copied(task: Path, tasks: Path, *, newer: bool) -> None:
    """A task of the earlier build's; one that shows how data are held out says why, as this build asks."""
    shutil.copytree(task, tasks / task.name)
    about = tasks / task.name / "task.yaml"
    if newer and "readable_because" not in about.read_text():
        about.write_text(about.read_text() + _BECAUSE)


def trials(rows: Rows) -> dict[str, dict[str, Any]]:
    """Trial's id -> what was measured. `source`: files of its proposal, "" for the baseline's."""
    found: dict[str, dict[str, Any]] = {}
    sources = {row["proposal"]: row["files"] for row in rows if row["kind"] == "proposed"}
    for row in rows:
        if row["kind"] == "trial_finished":
            source = sources.get(row.get("proposal") or 0, "")
            names = ("seed", "outcome", "artefact_sha256")
            kept = {name: row[name] for name in names[: 2 if row["artefact"].endswith(".safetensors") else 3]}
            found[row["trial_id"]] = {**kept, "source": source}
        elif row["kind"] == "scored":
            found[row["trial_id"]][f"score on {row['split']}"] = row["value"]
    return found


def decisions(rows: Rows) -> dict[int, str]:
    return {row["proposal"]: f"{row['decision']} {row['reason']}" for row in rows if row["kind"] == "decided"}


def compared(before: Rows, after: Rows) -> tuple[int, list[str], list[str]]:
    """Number of trials that both made of one program; what differs in these; other decisions."""
    old, new = trials(before), trials(after)
    both = [name for name in old if name in new and old[name]["source"] == new[name]["source"]]
    differing = [f"{name}: {old[name]} -> {new[name]}" for name in both if not _same(old[name], new[name])]
    was, now = decisions(before), decisions(after)
    other = [
        f"proposal {each}: {was.get(each)} -> {now.get(each)}" for each in was if was[each] != now.get(each)
    ]
    return len(both), differing, other


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Seed, outcome and artefact to the bit; scores to 1e-6: the order in which answers are asked for is drawn anew."""
    scores = [name for name in one if name.startswith("score on")]
    exact = all(one[name] == other.get(name) for name in one if name not in scores)
    return exact and all(_close(one[name], other.get(name)) for name in scores)


def _close(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and math.isclose(one, other, rel_tol=1e-6))


def main(arguments: list[str]) -> int:
    earlier, asked = Path(arguments[0]).resolve(), arguments[1:] or _SMOKE
    task = next(each for each in asked if each.startswith("task=")).removeprefix("task=")
    secret = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory() as name:
        rows = []
        for build, dice in (
            (earlier, []),
            (HERE, ["executor.salted_seeding=false", "executor.reordering=false"]),
        ):
            place = Path(name) / f"build{len(rows)}"
            copied(earlier / "tasks" / task, place / "tasks", newer=build == HERE)
            rows.append(played(build, place / "tasks", place, secret, [*asked, *dice]))
    count, differing, other = compared(*rows)
    made = ", ".join(str(len(trials(each))) for each in rows)
    print(
        f"{' '.join(asked)}: {made} trials made, {count} of one program and seed in both, {len(differing)} differ"
    )
    print("\n".join([*differing, *other]) or f"the same {len(decisions(rows[0]))} decisions")
    return 1 if differing or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
