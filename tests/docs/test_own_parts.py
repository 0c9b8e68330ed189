"""Parts of the user's own: the pages of docs/ as they stand, in a folder of the user's, from an installed wheel."""

import json
from pathlib import Path

import pytest

from harness.ledger.reading import Tail
from harness.ledger.rows import DecidedRow, Row, SessionStartedRow
from tests.docs.conftest import Type, page, write

PROPOSE = "    def propose(self, view): ...\n"
ASKED = "    def __call__(self, evidence): ...\n"
QUICK = "budget.seconds=0.5 budget.certificate=0"


def _decided(rows: list[Row]) -> list[DecidedRow]:
    return [row for row in rows if isinstance(row, DecidedRow)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own_agent.md", "own_guard.md", "own_keep_rule.md"])
def test_a_page_does_what_it_says(name: str, tmp_path: Path, type_in: Type) -> None:
    """Every file is written, every command typed, whole sessions included; the session was made of the user's part."""
    told = page(name)
    write(told.files, tmp_path)
    said = "\n".join(type_in(line).stdout for line in told.commands)
    (ledger,) = tmp_path.glob("sessions/*/ledger.jsonl")
    rows = Tail(ledger).rows()
    assert isinstance(rows[0], SessionStartedRow)
    assert len(rows[0].own_code) == 1
    assert len(_decided(rows)) == (2 if name == "own_agent.md" else 6)
    assert not any("crashed" in row.reason for row in _decided(rows) if row.reason.startswith("no_new"))
    if name == "own_keep_rule.md":
        assert "27.0% of changes without effect are kept" in said
        assert {"better", "not_better"} & {row.reason.rpartition(".")[2] for row in _decided(rows)}
    if name == "own_guard.md":
        verdicts = [json.loads(line) for line in ledger.read_text().splitlines()]
        assert "no_new_imports" in {row.get("guard") for row in verdicts}


@pytest.mark.parametrize("name", ["own_agent.md", "own_guard.md", "own_keep_rule.md"])
def test_what_a_page_composes_is_the_users_own(name: str, tmp_path: Path, type_in: Type) -> None:
    """The quick half: files written, the configuration shown, every command that starts a session checked."""
    told = page(name)
    write(told.files, tmp_path)
    for line in told.commands:
        if line.startswith("python "):
            type_in(line)
        elif "--cfg" in line:
            assert f"_target_: {next(iter(told.files)).removesuffix('.py')}." in type_in(line).stdout
        elif "=" in line:
            type_in(f"{line} --cfg")


@pytest.mark.slow
def test_a_broken_part_is_one_line(tmp_path: Path, type_in: Type) -> None:
    """A module that cannot be imported, a class of the wrong kind, a constructor that fails, a missing attribute."""
    write(
        {
            "broken.py": "def x(:\n",
            "wrong.py": "class Agent:\n    def suggest(self, view): ...\n",
            "fails.py": "class Agent:\n    def __init__(self):\n        raise KeyError('x')\n" + PROPOSE,
            "nameless.py": "class Guard:\n    stages = ('static',)\n" + ASKED,
            "stage.py": "class Guard:\n    name = 'x'\n    stages = ('early',)\n" + ASKED,
        },
        tmp_path,
    )
    for argument, said in {
        "agent._target_=broken.Agent": "broken cannot be imported: SyntaxError: invalid syntax (broken.py, line 1)",
        "agent._target_=wrong.Agent": "wrong.Agent has no propose(...)",
        "agent._target_=fails.Agent": "Agent cannot be built: KeyError: 'x' (fails.py, line 3)",
        "agent._target_=nowhere.Agent": "there is no module nowhere, neither installed nor in",
        "guards.x={_target_:nameless.Guard}": "Guard has no attribute name",
        "guards.x={_target_:stage.Guard}": "stages must be a tuple of 'static', 'runtime', 'promotion'",
    }.items():
        done = type_in(f"harness agent=random '~agent.factor' '~agent.changes' '{argument}' --cfg", code=2)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
        assert said in done.stderr


@pytest.mark.slow
def test_a_part_that_raises_ends_the_session_in_a_line_and_may_be_mended(
    tmp_path: Path, type_in: Type
) -> None:
    """An agent with a mistake: no traceback; mended, the same command goes on. A changed guard does not go on."""
    agent = "class Mine:\n    def propose(self, view):\n        return {bug}\n"
    guard = (
        "from guards.verdicts import accept\n"
        "class Mine:\n    name = 'mine'\n    stages = ('static',)\n"
        "    def __call__(self, evidence):\n        return accept('mine')\n"
    )
    write({"mine.py": agent.format(bug="view.nothing"), "guard.py": guard}, tmp_path)
    command = (
        "harness preset=smoke agent=random '~agent.factor' '~agent.changes' agent._target_=mine.Mine "
        f"'guards.mine={{_target_:guard.Mine}}' session.tag=one {QUICK}"
    )
    done = type_in(command, code=2)
    assert "Traceback" not in done.stderr
    assert (
        "agent failed: AttributeError: 'View' object has no attribute 'nothing' (mine.py, line 3)"
        in done.stderr
    )
    write({"mine.py": agent.format(bug="None")}, tmp_path)
    type_in(command)
    write({"guard.py": guard + "# stricter\n"}, tmp_path)
    assert "different: the file of guards.mine" in type_in(command, code=2).stderr
