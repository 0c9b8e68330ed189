"""The measure of size counts what a program does, not how it is written."""

from pathlib import Path

import pytest

from guards.complexity import Complexity
from harness.records import Evidence, Verdict

BASE = (Path(__file__).parent / "fixtures/train.py").read_text()


def verdict(text: str) -> Verdict:
    return Complexity()(
        Evidence("static", ("train.py",), {"train.py": BASE.encode()}, {"train.py": text.encode()})
    )


def size(text: str) -> int:
    return int(str(verdict(text).evidence["complexity"]))


def test_both_sizes_are_shown() -> None:
    """The verdict carries what the keep rule and the report need."""
    found = verdict(BASE)
    assert found.reason == ""
    assert found.evidence["complexity"] == found.evidence["incumbent_complexity"] > 2_000
    assert found.evidence["packed_bytes"] == found.evidence["incumbent_packed_bytes"] > 1_000


def test_comments_names_and_prints_cost_nothing() -> None:
    """Documentation is free."""
    text = BASE.replace("def norm(x):\n", 'def norm(x):\n    """A long explanation."""\n    print("norm")\n')
    assert size(text.replace("orthogonalise", "whiten_the_update_of_a_matrix")) == size(BASE)


@pytest.mark.parametrize(
    ("old", "new", "sign"),
    [
        ("        q, k = norm(q), norm(k)\n", "", -1),
        ("        x = F.relu(x).square()\n", "        x = F.relu(x).square() + 0.1 * x\n", 1),
        ('WINDOW_PATTERN = "SSSL"', 'WINDOW_PATTERN = "' + "SSSL" * 20 + '"', 1),
    ],
)
def test_more_code_is_more(old: str, new: str, sign: int) -> None:
    """Taking something out makes a program smaller, adding a term or a long text makes it larger."""
    assert (size(BASE.replace(old, new)) - size(BASE)) * sign > 0


def test_a_rewrite_that_nobody_can_read_is_rejected() -> None:
    """A flood of new code is sent back, though it adds nothing in total."""
    pieces = "\n".join(
        f"def helper_{n}(a):\n    return a.method_{n}(a, key_{n}=a.field_{n})\n" for n in range(900)
    )
    found = Complexity(added_nodes=10**6)(
        Evidence("static", ("train.py",), {"train.py": BASE.encode()}, {"train.py": pieces.encode()})
    )
    assert found.reason == "complexity.flood"


def test_a_syntax_error_is_a_rejection() -> None:
    """What cannot be read cannot be measured."""
    assert verdict("x = (\n").reason == "complexity.syntax"
