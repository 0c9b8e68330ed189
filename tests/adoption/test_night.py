"""A recorded night judged again, and the checkout's own number beside the referee's for the same weights."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from adopted import Adopted, Measure
from checkout import EVALUATED, LENGTH, make_checkout
from shapes import FIXED, changed

from harness.agents.controls.replay import claimed
from harness.ledger import chain
from harness.task.adoption.survey import survey
from harness.task.adoption.writing import write

pytestmark = pytest.mark.slow
BY_HAND = """
import sys
sys.path.insert(0, ".")
from safetensors.torch import load_file
space = {"__name__": "by_hand"}
exec(open("train.py").read().split("RATE = ")[0], space)
tokenizer = space["Tokenizer"].from_directory()
model = space["Mixer"](space["Sizes"](tokenizer.get_vocab_size()))
model.load_state_dict(load_file(sys.argv[1]))
print(space["evaluate_bpb"](model.eval(), tokenizer, 16))
"""


def by_hand(adopted: Adopted, *arguments: str) -> str:
    """What a program prints in the checkout as its owner runs it, without the harness."""
    environment = {**os.environ, "HOME": str(adopted.home)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=adopted.checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_same_weights_have_the_same_score_but_for_the_count_of_bytes(
    adopted: Adopted, measure: Measure
) -> None:
    """The checkout's own evaluation and ours read the same rows; what is left is how bytes are counted, to 1e-6."""
    result, score = measure(FIXED)
    assert score.value is not None
    printed = float(by_hand(adopted, "-c", BY_HAND, str(adopted.folder / "bench" / result.artefact)))
    assert score.side["bpb_as_printed"] == pytest.approx(printed, rel=1e-6)
    private = adopted.rig.data.private
    rows = np.load(private / "val_rows.npy")
    assert rows.shape == (EVALUATED // LENGTH, LENGTH + 1)
    ours, theirs = (int(np.load(private / f"val_{name}bytes.npy").sum()) for name in ("", "printed_"))
    assert theirs > 1.001 * ours
    assert score.value / printed == pytest.approx(theirs / ours, rel=1e-6)


def test_a_run_by_hand_differs_by_its_seed_and_the_order_of_documents(
    adopted: Adopted, measure: Measure
) -> None:
    """One fixed seed on documents as they lie, against our dice: as far apart as two of our trials, a few per cent."""
    printed = re.search(r"val_bpb: +([0-9.]+)", by_hand(adopted, "train.py"))
    assert printed is not None
    ours = [measure(FIXED, seed=seed)[1].side["bpb_as_printed"] for seed in (7, 8)]
    assert ours[0] != ours[1]
    assert float(printed[1]) == pytest.approx(sum(ours) / 2, rel=0.05)


def patch_of(old: str, new: str, words: str) -> str:
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), "a/train.py", "b/train.py")
    return f"{words}\n\n{''.join(lines)}"


FORGED = {
    "forged evaluation": ("val_bpb = evaluate_bpb(model, tokenizer, ROWS)\n", "val_bpb = 0.1\n"),
    "forged summary": ('print("---")\n', 'print("val_bpb: 0.000001")\n'),
}


def test_a_session_judges_the_night_again(adopted: Adopted) -> None:
    """Two changes with claims and two forgeries: each decided by fresh trials, the forged number is nowhere."""
    replay = adopted.folder / "tasks" / "mine" / "replay"
    for number, (words, pair) in enumerate(FORGED.items(), start=3):
        (replay / f"{number:04d}.patch").write_text(patch_of(FIXED, changed(FIXED, pair), words))
    settings = ("task=mine", "agent=replay", "keep=greedy", "budget.seconds=60", "budget.certificate=0")
    for words in ((*settings, "session.tag=night"), ("report", "sessions/night")):
        command = [sys.executable, "-m", "harness", *words]
        done = subprocess.run(command, cwd=adopted.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    folder = adopted.folder / "sessions" / "night"
    rows = chain.read(folder)
    decided = {row["proposal"]: row for row in rows if row["kind"] == "decided"}
    states = [row["state"] for row in rows if row["kind"] == "proposed"]
    assert [state.get("claimed") for state in states] == [1.9, 1.89, None, None]
    assert [state.get("claimed_before") for state in states] == [2.0, 1.9, None, None]
    assert len(decided) == 4
    assert decided[3]["reason"] == "crashed.no_artefact"
    assert decided[4]["reason"] == "duplicates.unchanged"
    scores = [row["value"] for row in rows if row["kind"] == "scored"]
    assert len(scores) >= 2
    assert min(scores) > 0.5
    page = (folder / "report.html").read_text()
    section = page.partition("Claimed against measured again")[2].partition("</section>")[0]
    assert "2 changes of a recorded night" in section
    assert "+0.1000" in section
    assert "no whole UTF-8" in section
    assert re.search(r"moves the metric by (nothing|\+[0-9.]+%|less than 0\.01%) in the first trial", section)


WORSE_FIRST = (
    ("RATE = 3e-3", "RATE = 1e-7", "a rate that was lucky"),
    ("ROWS = 16", "ROWS = 8", "fewer rows"),
    ("RATE = 1e-7", "RATE = 1e-2", "a larger rate"),
)


def test_a_first_keep_that_does_not_hold_up_takes_no_later_change_with_it(
    tmp_path: Path, home: Path, vocabulary: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkout stands at the night's end: every change is measured, on what is kept here, and says how it came."""
    checkout = make_checkout(tmp_path / "checkout", FIXED)
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@localhost"]
    subprocess.run([*git, "branch", "-q", "-D", "autoresearch/nov1"], check=True)
    subprocess.run([*git, "checkout", "-q", "-b", "autoresearch/nov2"], check=True)
    for old, new, words in WORSE_FIRST:
        text = (checkout / "train.py").read_text()
        (checkout / "train.py").write_text(changed(text, (old, new)))
        subprocess.run([*git, "commit", "-q", "-a", "-m", words], check=True)
    write(survey(checkout, home), vocabulary, tmp_path / "tasks" / "mine")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    settings = ("task=mine", "agent=replay", "keep=greedy", "budget.seconds=60", "budget.certificate=0")
    command = [sys.executable, "-m", "harness", *settings, "session.tag=night"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = chain.read(tmp_path / "sessions" / "night")
    proposals = [row for row in rows if row["kind"] == "proposed"]
    decided = [row for row in rows if row["kind"] == "decided"]
    assert [row["state"].get("carried") for row in proposals] == [None, "merged", "whole"]
    assert decided[0]["decision"] == "discard"
    assert not [row["reason"] for row in decided if row["reason"].startswith("agent.")]
    assert {row["proposal"] for row in rows if row["kind"] == "scored"} == {None, 1, 2, 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("larger rate\n\nClaimed: 1.9 after 2", {"claimed": 1.9, "claimed_before": 2.0}),
        ("Claimed: 0.98", {"claimed": 0.98}),
        ("Claimed: nan after 1", {"claimed_before": 1.0}),
        ("it was Claimed: 1 after 2", {}),
        ("Claimed: best after all", {}),
        ("", {}),
    ],
)
def test_claims_are_read_from_the_series(text: str, expected: dict[str, float]) -> None:
    assert claimed(text) == expected
