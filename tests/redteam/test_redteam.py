"""`harness redteam`: the attack suite as a command."""

import json
from pathlib import Path

import pytest

from harness.commands import run_named
from harness.config.setup import load
from harness.redteam.attack import Attack, attacks
from harness.redteam.program import Baseline, Candidate
from harness.redteam.result import Result, rate
from harness.redteam.suite import AttackFinding, Response, asked_guards, findings, judged

Lines = pytest.CaptureFixture[str]
OWN = '''"""Tries nothing at all."""
STATIC = True
REASONS = ("scope.",)


def attack(program):
    return program.tuned().inserted({attack!r})


def twin(program):
    return program.tuned().inserted({twin!r})
'''
BAD, GOOD = "print(eval('1'))", "print(int('1'))"


def own(folder: Path, attack: str, twin: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "of_my_own.py").write_text(OWN.format(attack=attack, twin=twin))
    return folder


def test_the_static_suite_on_digits(tmp_path: Path, capsys: Lines) -> None:
    """Every attack on source is caught for its own reason, and no honest twin is blocked; page and JSON say so."""
    page, data = tmp_path / "page.html", tmp_path / "data.json"
    arguments = ["task=digits", "--static", "--html", str(page), "--json", str(data)]
    assert run_named("redteam", arguments) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    found = json.loads(data.read_text())
    assert found["good"]
    assert found["caught"]["count"] == found["caught"]["total"] == len(found["attacks"]) >= 20
    assert found["blocked"]["count"] == 0
    assert 0 < found["blocked"]["high"] < 0.2
    for row in found["attacks"]:
        assert row["name"] in said
        assert row["name"] in page.read_text()
        assert row["static"]


@pytest.mark.parametrize(
    ("attack", "twin", "code", "words"),
    [
        (BAD, GOOD, 0, "caught: scope.dynamic_code"),
        (GOOD, GOOD, 1, "not caught: accepted"),
        (BAD, BAD, 1, "twin BLOCKED"),
    ],
)
def test_a_file_in_a_folder_is_an_attack(
    tmp_path: Path, capsys: Lines, attack: str, twin: str, code: int, words: str
) -> None:
    """Found without being registered; the exit code says whether it was caught and its twin passed."""
    folder = own(tmp_path / "own", attack, twin)
    assert run_named("redteam", ["task=digits", "--static", f"--attacks={folder}"]) == code
    said = capsys.readouterr().out
    assert "of_my_own" in said
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits"], "did you mean task=digits?"),
        (["task=no_such_task", "--static"], "no_such_task"),
        (["--only=nothing"], "no attack 'nothing'"),
        (["--attacks=nowhere"], "no folder with attacks"),
        (["--static", "--only=chosen_seed"], "leave out --static"),
        (["--static", "--html=no/such/page.html"], "there is no folder"),
    ],
)
def test_a_users_mistake_is_one_line(capsys: Lines, arguments: list[str], words: str) -> None:
    """Exit code 2, and what to do."""
    assert run_named("redteam", arguments) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_file_that_is_no_attack_is_one_line(tmp_path: Path, capsys: Lines) -> None:
    """What is missing, or what is wrong with it."""
    (tmp_path / "broken.py").write_text('"""Tries."""\n1 / 0\n')
    assert run_named("redteam", [f"--attacks={tmp_path}"]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
    (tmp_path / "broken.py").write_text('"""Tries."""\n')
    assert run_named("redteam", [f"--attacks={tmp_path}"]) == 2
    assert "attack(program)" in capsys.readouterr().err


def made(program: Baseline) -> Candidate:
    return Candidate(program.files)


def attack(*reasons: str, doubt: bool = False) -> Attack:
    return Attack("one", "tries", False, reasons, made, made, doubt)


@pytest.mark.parametrize(
    ("tried", "bad", "good", "word", "twin"),
    [
        (attack("scope."), Response("scope.link"), Response(""), "caught", "passed"),
        (attack("scope."), Response("exit_1"), Response(""), "not caught", "passed"),
        (attack("scope."), Response("infra_failed.sandbox"), Response(""), "not caught", "passed"),
        (attack("scope."), Response("scope.link", gained="a word"), Response(""), "not caught", "passed"),
        (attack("seed."), Response("", doubt="seed.loop"), Response(""), "not caught", "passed"),
        (attack("seed.", doubt=True), Response("", doubt="seed.loop"), Response(""), "in doubt", "passed"),
        (attack("seed."), Response("seed.loop"), Response("seed.loop"), "caught", "blocked"),
        (attack(), Response(""), Response("", gained="1 file"), "caught", "passed"),
        (attack(), Response("", gained="1 file"), Response("", gained="1 file"), "not caught", "passed"),
        (attack(), Response("exit_1"), Response("", gained="1 file"), "not caught", "passed"),
        (attack(), Response(""), Response(""), "caught", "blocked"),
    ],
)
def test_what_counts_as_caught(tried: Attack, bad: Response, good: Response, word: str, twin: str) -> None:
    """Its own reason, no other and no failure of ours; where none is expected, a search that can find something."""
    found = judged(tried, bad, good)
    assert (found.attack, found.twin) == (word, twin)


def test_rates_have_exact_intervals() -> None:
    """Clopper and Pearson: nothing missed in 20 leaves up to 16.8 %; what does not apply is counted nowhere."""
    assert rate(0, 20).high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert rate(0, 0).low == 0.0
    skipped = AttackFinding("one", "tries", False, "not applicable", "no predictor")
    result = Result({"task": "digits"}, [skipped])
    assert (result.caught.total, result.blocked.total, result.good) == (0, 0, True)


def test_text_of_attacks_is_harmless_in_the_page() -> None:
    """What a candidate said is text there, no markup."""
    finding = AttackFinding("one", "tries", False, "caught", "<script>alert(1)</script>", "passed", "")
    assert "<script>" not in Result({"task": "digits"}, [finding]).as_page()


@pytest.mark.parametrize("task", ["nanochat", "query_expansion", "protocol_hardening"])
def test_attacks_on_source_fit_every_shipped_task(task: str) -> None:
    """What is written into one train.py can be written into any: caught or not applicable, and no twin is blocked."""
    setup = load([f"task={task}"])
    program = Baseline(setup.task, setup.budget.trial_profile(setup.task), setup.task.source())
    chosen = [each for each in attacks() if each.static]
    found = list(findings(chosen, program, asked_guards(program, setup.guards)))
    assert all(each.good for each in found), [each for each in found if not each.good]
    assert sum(each.attack != "not applicable" for each in found) >= 15


@pytest.mark.slow
def test_the_whole_suite_on_digits(capsys: Lines) -> None:
    """Every attack that is run as a trial is caught for its own reason beside a twin that is scored."""
    assert run_named("redteam", ["task=digits"]) == 0, capsys.readouterr().out
