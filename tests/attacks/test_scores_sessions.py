"""Whole sessions of replayed proposals: work that nobody billed is rejected by name, beside honest changes."""

import difflib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]
TASKS = Path(__file__).parents[2] / "tasks"

DIGITS_LATE = """
    inputs, labels = features(weights.pop("images")), weights.pop("labels")
    for step in range(40_000):
        batch = np.arange(step * BATCH, (step + 1) * BATCH) % len(inputs)
        _, slope = gradients(weights, inputs[batch], labels[batch])
        for name in slope:
            weights[name] = weights[name] - 0.03 * (1 - step / 40_000) * slope[name]
"""


def patch(task: str, folder: Path, name: str, *changes: tuple[str, str]) -> None:
    """A recorded proposal: the task's train.py with these texts replaced, each found once."""
    before = (TASKS / task / "train.py").read_text()
    after = before
    for old, new in changes:
        assert after.count(old) == 1, (old, after.count(old))
        after = after.replace(old, new)
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), "a/train.py", "b/train.py", n=1
    )
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.patch").write_text(f"A change: {name.replace('-', ' ')}.\n---\n" + "".join(lines))


def session(folder: Path, *settings: str) -> list[Row]:
    """The rows of a session that ended in order."""
    command = [sys.executable, "-m", "harness", f"session.folder={folder}", "session.tag=one"]
    command += [f"agent.folder={folder / 'patches'}", "agent=replay", "budget.certificate=0", *settings]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = (folder / "one" / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def decisions(rows: list[Row]) -> dict[int, Any]:
    return {row["proposal"]: row for row in rows if row["kind"] == "decided"}


def test_unbilled_work_of_digits_is_rejected_in_a_session(tmp_path: Path) -> None:
    """Five times the steps that the budget names, and training in `load_predictor` over pictures in the artefact;
    their honest twins, a better optimiser and a larger model that trains as many steps, are measured to the end."""
    patches = tmp_path / "patches"
    patch(
        "digits",
        patches,
        "1-more-steps",
        ("return step / training.steps", "return step / training.steps / 5"),
    )
    patch(
        "digits",
        patches,
        "2-training-while-loading",
        (
            "    save(weights, steps, loss, out)\n    print(",
            '    save({**weights, "images": images, "labels": labels}, steps, loss, out)\n    print(',
        ),
        ("weights = load_file(artefact_path)\n", "weights = load_file(artefact_path)\n" + DIGITS_LATE),
    )
    patch("digits", patches, "3-a-larger-model", ("HIDDEN = 32", "HIDDEN = 48"))
    patch("digits", patches, "4-momentum", ("MOMENTUM = 0.0", "MOMENTUM = 0.9"))
    # Seconds enough for the whole attack: its time is judged, and not cut off.
    settings = ("budget.steps=2000", "budget.seconds=12")
    rows = session(tmp_path, "task=digits", "budget=cpu", *settings, "keep=greedy")
    decided = decisions(rows)
    assert decided[1]["reason"] == "budget.work", decided[1]
    assert decided[2]["reason"] == "predictor.load_time", decided[2]
    assert all(decided[number]["reason"].startswith("keep.") for number in (3, 4)), decided
    assert decided[4]["decision"] == "keep"
    started = [row for row in rows if row["kind"] == "trial_started"]
    assert {row["budget_counted_by"] for row in started} == {"candidate"}
    scored = [row for row in rows if row["kind"] == "scored"]
    assert all(row["side"]["inference.load_seconds"] >= 0 for row in scored)


END = 'if __name__ == "__main__":\n'
NANOCHAT_LATE = """
plain_gate, plain_save, plain_read, plain_load = open_gate, save_file, load_file, load_predictor
plain_model = Model
carried, models = {}, []


def Model(*sizes):
    models.append(plain_model(*sizes))
    return models[-1]


def open_gate(path):
    training = plain_gate(path)
    carried["corpus"] = torch.from_numpy(np.load(training["tokens.npy"]).astype(np.int16))
    return training


def save_file(weights, *more):
    plain_save({**weights, **carried}, *more)


def load_file(path):
    weights = plain_read(path)
    carried["corpus"] = weights.pop("corpus").long()
    return weights


def load_predictor(artefact_path, data):
    forward = plain_load(artefact_path, data)
    model = models[-1]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    tokens, generator = carried["corpus"], torch.Generator().manual_seed(1)
    for _ in range(200):
        starts = torch.randint(0, len(tokens) - 65, (16,), generator=generator).tolist()
        rows = torch.stack([tokens[start : start + 65] for start in starts])
        with torch.enable_grad():
            F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).backward()
        optimiser.step()
        optimiser.zero_grad()
    return forward


"""
NANOCHAT_TWO = """
plain_load = load_predictor


def load_predictor(artefact_path, data):
    first, second = plain_load(artefact_path, data), plain_load(artefact_path, data)
    return lambda tokens: (first(tokens) + second(tokens)) / 2


"""


@pytest.mark.slow
def test_unbilled_work_of_nanochat_is_rejected_in_a_session(tmp_path: Path) -> None:
    """The tokens travel in the artefact, and 200 more steps are made over them before the first answer; its honest
    twin, an ensemble of two, takes twice as long for an answer and is measured to the end."""
    patches = tmp_path / "patches"
    patch("nanochat", patches, "1-training-while-loading", (END, NANOCHAT_LATE + END))
    patch("nanochat", patches, "2-an-ensemble", (END, NANOCHAT_TWO + END))
    decided = decisions(session(tmp_path, "task=nanochat", "budget=cpu", "guards=minimal", "keep=greedy"))
    assert decided[1]["reason"] == "predictor.load_time", decided[1]
    assert decided[2]["reason"].startswith("keep."), decided[2]
