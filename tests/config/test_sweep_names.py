"""What one session accepts a sweep accepts: names with blanks, `=`, commas, quotes, as Hydra's grammar spells them."""

from pathlib import Path

import pytest

from harness.config.compose import composed
from harness.errors import UserError
from harness.sweep.arms import sweep_of

NAMES = [
    "my program.md",
    "a=b.md",
    "a,b.md",
    "it's.md",
    'say "so".md',
    "plain.md",
    "half {open.md",
    "über.md",
]


def spelt(name: str) -> str:
    quoted = name.replace("'", "\\'")
    return f"'{quoted}'"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_program_in_a_session_and_in_a_sweep(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file, as it stands (in a session) and in quotes (in both)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("Do well.")
    for spelling in (name, spelt(name)):
        config, _ = composed([f"program={spelling}"])
        assert config["program"]["path"] == name
    arms = sweep_of([f"program={spelt(name)},default"]).arms
    config, _ = composed(list(arms[0].arguments))
    assert config["program"]["path"] == name
    assert (
        "path" not in composed(list(arms[1].arguments))[0]["program"]
        or arms[1].choices["program"] == "default"
    )
    assert len({arm.name for arm in arms}) == 2


def test_a_name_that_needs_quotes_says_so() -> None:
    """One line that says what to do."""
    with pytest.raises(UserError, match="quotes around names"):
        sweep_of(["program=a=b.md,default"])
