"""Protected files and manifests: any difference is an attempt."""

import pytest

from guards.integrity import Integrity
from harness.records import Evidence, Judgement

TREE = {"train.py": b"x = 1\n", "evaluate.py": b"y = 2\n"}
MANIFEST = {"task/evaluate.py": "aa", "harness/session/session.py": "bb", "data/private/val.bin": "cc"}


def verdict(candidate: dict[str, bytes], after: dict[str, str], stage: str = "runtime"):
    return Integrity()(
        Evidence(stage, ("train.py",), TREE, candidate, manifest_before=MANIFEST, manifest_after=after)
    )


def test_untouched_files_pass() -> None:
    """An edit of an editable file with equal manifests is accepted, in every stage."""
    for stage in Integrity.stages:
        assert verdict({**TREE, "train.py": b"x = 2\n"}, MANIFEST, stage).judgement is Judgement.ACCEPT


@pytest.mark.parametrize(
    ("after", "reason", "label"),
    [
        ({**MANIFEST, "data/private/val.bin": "dd"}, "integrity.manifest_changed", "data/private/val.bin"),
        (
            {"task/evaluate.py": "aa", "harness/session/session.py": "bb"},
            "integrity.manifest_deleted",
            "data/private/val.bin",
        ),
        (
            {**MANIFEST, "harness/sitecustomize.py": "ee"},
            "integrity.manifest_added",
            "harness/sitecustomize.py",
        ),
    ],
)
def test_a_manifest_that_differs_is_rejected(after: dict[str, str], reason: str, label: str) -> None:
    """A changed, missing or new protected file around a trial is named."""
    found = verdict(TREE, after)
    assert (found.judgement, found.reason) == (Judgement.REJECT, reason)
    assert label in found.message


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ({**TREE, "evaluate.py": b"y = 3\n"}, "integrity.file_changed"),
        ({"train.py": b"x = 1\n"}, "integrity.file_deleted"),
        ({**TREE, "conftest.py": b""}, "integrity.file_added"),
    ],
)
def test_a_protected_file_of_the_candidate_that_differs_is_rejected(
    candidate: dict[str, bytes], reason: str
) -> None:
    """Bytes decide, in every stage."""
    for stage in Integrity.stages:
        assert verdict(candidate, MANIFEST, stage).reason == reason


def test_no_manifest_is_not_taken_for_a_good_one() -> None:
    """Without hashes from both sides of a trial nothing is accepted."""
    assert verdict(TREE, {}).judgement is Judgement.INCONCLUSIVE
