"""Resubmissions are recognised under other spellings; ideas that only look alike are not."""

from pathlib import Path

import pytest

from guards.duplicates import Duplicates
from harness.records import Decision, Evidence, PastProposal, Verdict

BASE = (Path(__file__).parent / "fixtures/train.py").read_text()
FASTER = BASE.replace("MATRIX_LR = 0.02", "MATRIX_LR = 0.03")


def verdict(candidate: str, *earlier: str) -> Verdict:
    history = tuple(
        PastProposal(number, {"train.py": text.encode()}, "", Decision.DISCARD, "futile")
        for number, text in enumerate(earlier, 1)
    )
    return Duplicates()(
        Evidence(
            "static",
            ("train.py",),
            {"train.py": BASE.encode()},
            {"train.py": candidate.encode()},
            history=history,
        )
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\n\ndef norm(x):", "\n\n\n\n# normalised\ndef norm(x):"),
        ("def norm(x):\n", "def norm(x):\n    \"\"\"Unit size.\"\"\"\n"),
        ("def lr_multiplier(progress):\n", "def lr_multiplier(progress: float) -> float:\n"),
        ("MATRIX_LR = 0.03", "MATRIX_LR = 3e-2"),
        ("TOTAL_BATCH = 2**14", "TOTAL_BATCH = 16 * 1024"),
        ("        softcap = 15\n", "        softcap = 15\n        unused_value = 3\n"),
        ("    model.train()\n", "    model.train()\n    print(\"now training\", args.seed)\n"),
        ("params=[model.x0_lambdas], lr=SCALAR_LR,", "lr=SCALAR_LR, params=[model.x0_lambdas],"),
        ("    if progress < WARMUP_RATIO:\n", "    if WARMUP_RATIO > progress:\n"),
        ("import math\nimport os\n", "import os\nimport math\n"),
        ("import time\n", "import time\nimport itertools\n"),
    ],
)  # fmt: skip
def test_a_resubmission_is_recognised(old: str, new: str) -> None:
    """Layout, comments, types, spelling of numbers, order of keywords, prints and dead names change nothing."""
    assert old in FASTER
    found = verdict(FASTER.replace(old, new), "x = 1\n", FASTER)
    assert (found.reason, found.evidence) == ("duplicates.repeated", {"duplicate_of": 2})
    assert "proposal 2 (discard: futile)" in found.message


def test_renaming_is_recognised() -> None:
    """Other names for functions, variables, classes and attributes make no other proposal."""
    text = FASTER
    for old, new in (
        ("orthogonalise", "whiten"),
        ("smooth_loss", "mean"),
        ("MATRIX_LR", "MUON_RATE"),
        ("ve_gate", "gate_of_values"),
    ):
        assert old in text
        text = text.replace(old, new)
    assert verdict(text, FASTER).reason == "duplicates.repeated"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MATRIX_LR = 0.02", "MATRIX_LR = 0.0200001"),
        ("GRAD_CLIP = 1.0", "GRAD_CLIP = 1.0  # the usual"),
    ],
)
def test_a_change_without_a_change_is_recognised(old: str, new: str) -> None:
    """The incumbent under another spelling, or with the last digit of a number changed, is no proposal."""
    assert verdict(BASE.replace(old, new)).reason == "duplicates.unchanged"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MATRIX_LR = 0.03", "MATRIX_LR = 0.031"),
        ("DEPTH = 4", "DEPTH = 5"),
        ("ADAM_BETAS = (0.8, 0.95)", "ADAM_BETAS = (0.8, 0.953)"),
        ("momentum=0.95, weight_decay=WEIGHT_DECAY", "momentum=0.9501, weight_decay=WEIGHT_DECAY"),
        ("GRAD_CLIP = 1.0", "GRAD_CLIP = 1"),
        ("F.relu(x)", "F.silu(x)"),
        ("fraction * 0.95", "fraction * 0.96"),
    ],
)
def test_a_neighbour_is_no_duplicate(old: str, new: str) -> None:
    """Other numbers are another proposal; that only numbers differ is noted."""
    found = verdict(FASTER.replace(old, new), FASTER)
    if new.startswith("momentum=0.9501"):  # 0.0001 of 0.05: the same for all purposes
        assert found.reason == "duplicates.repeated"
    else:
        assert found.reason == ""
        assert found.evidence == ({} if "silu" in new else {"same_but_for_numbers": 1})


def test_other_files_count_by_their_bytes() -> None:
    """An editable file that is no Python is compared as it is."""

    def asked(text: bytes) -> Verdict:
        tree = {"settings.json": b'{"depth": 4}'}
        return Duplicates()(Evidence("static", ("settings.json",), tree, {"settings.json": text}))

    assert asked(b'{"depth": 4}').reason == "duplicates.unchanged"
    assert asked(b'{"depth": 5}').reason == ""


def test_an_unreadable_earlier_proposal_is_like_no_other() -> None:
    """A syntax error in the history stops nobody; one in the candidate is a rejection."""
    assert verdict(FASTER, "x = (\n").reason == ""
    assert verdict("x = (\n").reason == "duplicates.syntax"
