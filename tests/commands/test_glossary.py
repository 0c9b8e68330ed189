"""`harness glossary`: the words of sessions and reports, where there is no page to point at."""

import pytest

from harness.commands.glossary import main
from harness.errors import UserError
from harness.report.glossary import GLOSSARY


def test_every_word_is_explained_or_the_one_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """All without an argument; in any case; the words that terminal lines use are among them."""
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"{term}\n    " in out for term in GLOSSARY)
    assert main(["SD", "Rolled back"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line[:1] != " "] == ["sd", "rolled back"]
    said = (
        "nats",
        "z",
        "sd",
        "effect",
        "rolled back",
        "sealed split",
        "error budget",
        "disturbed",
        "cannot tell",
    )
    assert {*said} <= {*GLOSSARY}


def test_a_word_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match="'incumbant' is not explained; did you mean incumbent"):
        main(["incumbant"])
    with pytest.raises(UserError, match="usage"):
        main(["--all"])
